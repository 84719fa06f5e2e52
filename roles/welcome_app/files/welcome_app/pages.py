"""The pages and the images. The pages themselves ask no database: they are there even when none is."""

from flask import Blueprint, abort, current_app, make_response, render_template, request

from . import images

pages = Blueprint("pages", __name__)


@pages.get("/")
def index():
    return render_template("index.html")


@pages.get("/admin")
def admin():
    return render_template("admin.html")


@pages.get("/images/<name>")
def image(name):
    if not images.valid(name):
        abort(404)
    # A name stands for the same bytes for ever.
    if request.if_none_match.contains(name):
        response = make_response("", 304)
    else:
        data = current_app.images.read(name)
        if data is None:
            abort(404)
        response = make_response(data)
        response.headers["Content-Type"] = images.mime(name)
    response.set_etag(name)
    response.headers["Cache-Control"] = "public, max-age=31536000, immutable"
    return response
