"""What a WSGI server loads."""

from canteen.app import create_app

app = create_app()
