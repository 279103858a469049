"""python -m canteen"""

from canteen.cli import main

main()
