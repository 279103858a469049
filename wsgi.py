"""What a WSGI server loads: the application, once it has been checked that it may work on its database."""

import gc
import sys

from canteen import processes, startup
from canteen.app import create_app
from canteen.errors import Refusal

processes.end_with_parent()
app = create_app()
try:
    startup.begin(app)
except Refusal as refusal:
    sys.exit(f"{refusal.code}: {refusal.message}")  # on stderr, and the worker ends with 1

# What is loaded by now is never garbage, and a request leaves next to none: looking through it all took a seventh of
# the time of a checkout.
gc.collect()
gc.freeze()
gc.set_threshold(50_000, 20, 20)
