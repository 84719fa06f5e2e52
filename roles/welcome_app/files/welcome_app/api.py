"""The JSON interface."""

from datetime import datetime, timezone

import psycopg2
from flask import Blueprint, current_app, jsonify, request, url_for

from . import images
from .bounded import Away
from .database import Lost, NoDatabase, first_line

MAX_QUOTE = 1000

api = Blueprint("api", __name__, url_prefix="/api")


def error(status, message, **more):
    response = jsonify({"error": message, "hostname": current_app.settings.hostname, **more})
    response.status_code = status
    if status == 503:
        response.headers["Retry-After"] = "5"
    return response


def _item(row):
    return {
        "id": row[0],
        "quote": row[1],
        "image_filename": row[2],
        "image_url": url_for("pages.image", name=row[2]),
        "created_at": row[3].isoformat() + "Z" if row[3] else None,
    }


@api.get("/content")
def content():
    limit = min(max(request.args.get("limit", 200, type=int), 1), 1000)
    with current_app.nodes.transaction() as (cursor, node):
        cursor.execute(
            "SELECT id, quote, image_filename, created_at FROM content ORDER BY id DESC LIMIT %s", (limit,)
        )
        rows = cursor.fetchall()
    return jsonify(
        {"hostname": current_app.settings.hostname, "database": node, "items": [_item(row) for row in rows]}
    )


@api.post("/content")
def add():
    quote = request.form.get("quote", "").strip()
    if not quote:
        return error(400, "a quote is needed")
    if len(quote) > MAX_QUOTE or "\x00" in quote:
        return error(400, f"the quote must be text of at most {MAX_QUOTE} characters")
    try:
        data, name = images.accept(request.files.get("image"))
    except images.BadImage as bad:
        return error(400, str(bad))

    store = current_app.images
    store.prepare(name, data)
    try:
        with current_app.nodes.transaction(write=True) as (cursor, node):
            store.insert(cursor, name, data)
            cursor.execute(
                "INSERT INTO content (quote, image_filename) VALUES (%s, %s)"
                " RETURNING id, quote, image_filename, created_at",
                (quote, name),
            )
            row = cursor.fetchone()
    except Lost:
        # The row may be there: without its image it would be broken, so the file stays.
        raise
    except BaseException:
        store.discard(name)
        raise
    response = jsonify({"hostname": current_app.settings.hostname, "database": node, **_item(row)})
    response.status_code = 201
    return response


@api.delete("/content/<int:number>")
def remove(number):
    if number > 2147483647:
        return error(404, f"there is no entry {number}")
    store = current_app.images
    with current_app.nodes.transaction(write=True) as (cursor, node):
        cursor.execute("DELETE FROM content WHERE id = %s RETURNING image_filename", (number,))
        row = cursor.fetchone()
        if row:
            store.delete(cursor, row[0])
    if not row:
        return error(404, f"there is no entry {number}")
    store.deleted(row[0])
    return jsonify({"hostname": current_app.settings.hostname, "database": node, "deleted": number})


@api.get("/time")
def now():
    return jsonify(
        {"time": datetime.now(timezone.utc).isoformat(timespec="seconds"), "hostname": current_app.settings.hostname}
    )


@api.get("/health")
def health():
    body = {"status": "ok", "hostname": current_app.settings.hostname, "database": "connected", "content_count": None}
    try:
        with current_app.nodes.transaction() as (cursor, node):
            cursor.execute("SELECT count(*) FROM content")
            body["content_count"] = cursor.fetchone()[0]
            body["database_host"] = node
    except NoDatabase as none:
        body.update(status="degraded", database=str(none), nodes=none.reasons)
    except (Lost, psycopg2.Error) as failure:
        body.update(status="degraded", database=first_line(failure))
    # Reads may come from a standby while nothing can be written; None: not known yet.
    body["writable"] = current_app.nodes.writable()
    # Rows are served without the images; this host is not whole all the same.
    try:
        current_app.images.check()
    except OSError as failure:
        body.update(status="degraded", images=failure.strerror or str(failure))
    response = jsonify(body)
    response.status_code = 200 if body["status"] == "ok" else 500
    return response


def register_errors(app):
    @app.errorhandler(NoDatabase)
    def no_database(none):
        return error(503, str(none), nodes=none.reasons)

    @app.errorhandler(Lost)
    def lost(failure):
        doubt = "" if request.method in ("GET", "HEAD") else "; whether the change was made is not known"
        return error(503, f"the database was lost: {failure}{doubt}")

    @app.errorhandler(psycopg2.Error)
    def database_error(failure):
        current_app.logger.exception("database error")
        return error(500, f"database error: {first_line(failure)}")

    @app.errorhandler(Away)
    def away(failure):
        return error(503, failure.strerror)

    @app.errorhandler(OSError)
    def storage_error(failure):
        current_app.logger.exception("storage error")
        return error(500, f"the image store failed: {failure.strerror or 'unknown error'}")

    @app.errorhandler(413)
    def too_large(_):
        return error(413, "the image is larger than 5 MiB")

    @app.errorhandler(404)
    def not_found(_):
        return error(404, "there is nothing here")

    @app.errorhandler(405)
    def not_allowed(_):
        return error(405, f"{request.method} is not possible here")
