"""Images: what is accepted, and where they are kept."""

import errno
import os
import re
import threading
import uuid

import psycopg2

from .bounded import Bounded

MAX_BYTES = 5 * 1024 * 1024
EXTENSIONS = {"png", "jpg", "jpeg", "gif", "webp"}
_NAME = re.compile(r"\A[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\.(?:png|jpg|gif|webp)\Z")
_MIME = {"png": "image/png", "jpg": "image/jpeg", "gif": "image/gif", "webp": "image/webp"}


class BadImage(ValueError):
    """Not an image that is accepted."""


def kind(data):
    """What the bytes are, whatever the file's name says."""
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    if data.startswith(b"\xff\xd8\xff"):
        return "jpg"
    if data.startswith((b"GIF87a", b"GIF89a")):
        return "gif"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "webp"
    return None


def accept(upload):
    """The bytes of an upload and the name under which they will be kept."""
    if upload is None or not upload.filename:
        raise BadImage("an image is needed")
    extension = upload.filename.rsplit(".", 1)[-1].lower() if "." in upload.filename else ""
    if extension not in EXTENSIONS:
        raise BadImage("the image must be a png, jpg, jpeg, gif or webp file")
    data = upload.stream.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise BadImage("the image is larger than 5 MiB")
    found = kind(data)
    if found is None:
        raise BadImage("the file is not a png, jpeg, gif or webp image")
    return data, f"{uuid.uuid4()}.{found}"


def valid(name):
    return _NAME.match(name) is not None


def mime(name):
    return _MIME[name.rsplit(".", 1)[-1]]


class InDatabase:
    """Rows beside the quotes: written and deleted in the same transaction, replicated with them."""

    def __init__(self, nodes):
        self._nodes = nodes

    def check(self):
        """The database is asked anyhow."""

    def prepare(self, name, data):
        pass

    def insert(self, cursor, name, data):
        cursor.execute(
            "INSERT INTO image (filename, mime, data) VALUES (%s, %s, %s)",
            (name, mime(name), psycopg2.Binary(data)),
        )

    def discard(self, name):
        pass

    def delete(self, cursor, name):
        cursor.execute("DELETE FROM image WHERE filename = %s", (name,))

    def deleted(self, name):
        pass

    def read(self, name):
        with self._nodes.transaction() as (cursor, _):
            cursor.execute("SELECT data FROM image WHERE filename = %s", (name,))
            row = cursor.fetchone()
        return bytes(row[0]) if row else None


class InDirectory:
    """Files in a directory that all application servers share. The file is there before its row, and goes after it.

    The directory is a mount; when it is not, nothing is written: it would be this host's own disk.
    """

    def __init__(self, directory, timeout, store_timeout):
        self._directory = directory
        self._timeout = timeout
        self._store_timeout = store_timeout
        self._share = Bounded()

    def _path(self, name):
        return os.path.join(self._directory, name)

    def check(self):
        """Fails when images can neither be read nor stored."""
        self._share.run(self._timeout, self._look)

    def prepare(self, name, data):
        self._share.run(self._store_timeout, lambda: self._store(name, data), undo=lambda: self._remove(name))

    def insert(self, cursor, name, data):
        pass

    def discard(self, name):
        self._forget(name)

    def delete(self, cursor, name):
        pass

    def deleted(self, name):
        self._forget(name)

    def read(self, name):
        return self._share.run(self._timeout, lambda: self._read(name))

    def _look(self):
        # Opening it makes the mount, where it is made on demand.
        handle = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            if os.fstat(handle).st_dev == os.stat(os.path.dirname(self._directory)).st_dev:
                raise OSError(errno.ENODEV, "the image directory is not mounted")
            # The file server is asked, whatever this host remembers.
            os.fstatvfs(handle)
        finally:
            os.close(handle)
        if not os.access(self._directory, os.W_OK | os.X_OK):
            raise OSError(errno.EACCES, "the image directory is not writable")

    def _store(self, name, data):
        self._look()
        part = self._path(f".{name}.part")
        try:
            with open(part, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(part, self._path(name))
            # The name, too, is on the server's disk before anybody is told.
            handle = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)
        except BaseException:
            self._unlink(part)
            self._unlink(self._path(name))
            raise

    def _read(self, name):
        try:
            with open(self._path(name), "rb") as file:
                return file.read()
        except FileNotFoundError:
            # Without the mount nothing is there, which is not the same.
            self._look()
            return None

    def _forget(self, name):
        """Removes a file that no row names; later, when the share is away now."""
        try:
            self._share.run(self._timeout, lambda: self._remove(name))
        except OSError:
            threading.Thread(target=self._remove, args=(name,), daemon=True).start()

    def _remove(self, name):
        self._unlink(self._path(name))

    @staticmethod
    def _unlink(path):
        try:
            os.unlink(path)
        except OSError:
            pass
