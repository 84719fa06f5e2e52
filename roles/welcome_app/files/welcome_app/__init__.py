"""A small web application: quotes with images, on replicated storage."""

import secrets
from urllib.parse import urlsplit

from flask import Flask, g, request

from . import images
from .api import api, error, register_errors
from .database import Nodes
from .pages import pages
from .settings import from_environment


def create_app(settings=None):
    settings = settings or from_environment()
    app = Flask(__name__)
    app.settings = settings
    app.nodes = Nodes(settings)
    app.images = (
        images.InDirectory(settings.directory, settings.directory_timeout, settings.directory_store_timeout)
        if settings.images == "directory"
        else images.InDatabase(app.nodes)
    )
    # The image, and a little for the rest of the form.
    app.config["MAX_CONTENT_LENGTH"] = images.MAX_BYTES + 64 * 1024
    app.register_blueprint(api)
    app.register_blueprint(pages)
    register_errors(app)

    @app.before_request
    def same_site_only():
        """A page of another site must not change anything here through its visitor's browser."""
        g.nonce = secrets.token_urlsafe(16)
        if request.method in ("GET", "HEAD", "OPTIONS"):
            return None
        site = request.headers.get("Sec-Fetch-Site")
        origin = request.headers.get("Origin")
        if site in ("cross-site", "same-site") or (origin and urlsplit(origin).netloc != request.host):
            return error(403, "changes are accepted from these pages only")
        return None

    @app.after_request
    def headers(response):
        set_default = response.headers.setdefault
        set_default("X-Served-By", settings.hostname)
        set_default("X-Content-Type-Options", "nosniff")
        set_default("X-Frame-Options", "DENY")
        set_default("Referrer-Policy", "same-origin")
        set_default(
            "Content-Security-Policy",
            "default-src 'none'; img-src 'self' data:; connect-src 'self'; form-action 'self'; base-uri 'none';"
            f" frame-ancestors 'none'; style-src 'nonce-{g.nonce}'; script-src 'nonce-{g.nonce}'"
            if "nonce" in g
            else "default-src 'none'",
        )
        set_default("Cache-Control", "no-store")
        return response

    @app.context_processor
    def names():
        return {"hostname": settings.hostname, "nonce": g.nonce}

    return app
