"""For WSGI servers: ``gunicorn --threads 8 backend.web.wsgi:app``."""

from backend.settings import load_settings
from backend.web.app import create_app

app = create_app(load_settings())
