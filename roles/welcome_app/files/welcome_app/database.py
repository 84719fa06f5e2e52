"""Connections to whichever database node can do what is asked.

Reads go to any node that answers, writes only to one that is not in recovery: after a failover the new primary is
found without anybody telling. A node that is frozen or cut off costs one timeout; until it answers again it is asked
last for a while, and by one request at a time: the others do not wait for a dead host, and are free when a node has
been promoted.
"""

import select
import threading
import time
from contextlib import contextmanager

import psycopg2
import psycopg2.extensions

# How long a node that failed is asked only after all others, in seconds.
SHUNNED = 10
# How often a node that takes writes is looked for while none is known, in seconds.
SOUGHT = 5
# Open connections that are kept for each node and process.
KEPT = 8

_limit = threading.local()


class NoDatabase(Exception):
    """No node could do it. `reasons` says why, for each node."""

    def __init__(self, wanted, reasons):
        super().__init__(f"no {wanted} database")
        self.wanted = wanted
        self.reasons = reasons


class NoAnswer(psycopg2.OperationalError):
    """The node accepts connections and says nothing."""


class Lost(Exception):
    """The node was lost in the middle of the work. Whether it was done is not known."""


def _wait(connection):
    """Waits for the server, but not for ever: a frozen server accepts connections and never answers."""
    deadline = time.monotonic() + getattr(_limit, "seconds", 8)
    while True:
        state = connection.poll()
        if state == psycopg2.extensions.POLL_OK:
            return
        poller = select.poll()
        wanted = select.POLLIN if state == psycopg2.extensions.POLL_READ else select.POLLOUT
        poller.register(connection.fileno(), wanted)
        left = deadline - time.monotonic()
        if left <= 0 or not poller.poll(left * 1000):
            raise NoAnswer("no answer in time")


psycopg2.extensions.set_wait_callback(_wait)


def first_line(error):
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__


class Nodes:
    """The database nodes, with a few connections kept open to each."""

    def __init__(self, settings):
        self._settings = settings
        self._lock = threading.Lock()
        self._idle = {host: [] for host in settings.db_hosts}
        # Nodes that failed and have not answered since, and until when they are asked last.
        self._shunned = {}
        # Those of them that a request is waiting for just now.
        self._asked = set()
        # The last node that was seen to take writes; reads go there too while it lives, so that one reads what
        # one wrote.
        self._primary = None
        # While none is known: whether the last search found one (None: not known yet), and when it began.
        self._found = None
        self._sought = 0.0

    def _order(self):
        now = time.monotonic()
        with self._lock:
            primary, shunned = self._primary, dict(self._shunned)
        return sorted(
            self._settings.db_hosts,
            key=lambda host: (shunned.get(host, 0) > now, host != primary),
        )

    def _connect(self, host):
        s = self._settings
        _limit.seconds = s.connect_timeout
        connection = psycopg2.connect(
            host=host,
            port=s.db_port,
            dbname=s.db_name,
            user=s.db_user,
            password=s.db_password,
            connect_timeout=max(2, round(s.connect_timeout)),
            application_name=f"welcome_app@{s.hostname}",
            keepalives_idle=10,
            keepalives_interval=3,
            keepalives_count=3,
            tcp_user_timeout=10000,
        )
        return connection

    def _role(self, connection):
        """Whether the node takes writes; proves as well that the connection lives."""
        _limit.seconds = self._settings.connect_timeout
        with connection.cursor() as cursor:
            cursor.execute("SELECT NOT pg_is_in_recovery()")
            writable = cursor.fetchone()[0]
        connection.rollback()
        return writable

    def _checkout(self, host):
        """A live connection to the node, and whether it takes writes."""
        with self._lock:
            connection = self._idle[host].pop() if self._idle[host] else None
        if connection is not None:
            try:
                return connection, self._role(connection)
            except psycopg2.Error as error:
                # The server was restarted, or died. The others kept for it are no better.
                self._close(connection)
                self._drop(host)
                if isinstance(error, NoAnswer):
                    raise
        connection = self._connect(host)
        try:
            return connection, self._role(connection)
        except BaseException:
            self._close(connection)
            raise

    def _claim(self, host):
        """Whether this request may ask the node, and whether it has to `_release` it afterwards."""
        with self._lock:
            if host not in self._shunned:
                return True, False
            if host in self._asked:
                return False, False
            self._asked.add(host)
            return True, True

    def _release(self, host):
        with self._lock:
            self._asked.discard(host)

    def _checkin(self, host, connection):
        with self._lock:
            if not connection.closed and len(self._idle[host]) < KEPT:
                self._idle[host].append(connection)
                return
        self._close(connection)

    def _drop(self, host):
        with self._lock:
            dropped, self._idle[host] = self._idle[host], []
        for connection in dropped:
            self._close(connection)

    @staticmethod
    def _close(connection):
        try:
            connection.close()
        except psycopg2.Error:
            pass

    def _note(self, host, writable):
        with self._lock:
            self._shunned.pop(host, None)
            if writable:
                self._primary = host
            elif self._primary == host:
                self._forget_primary()

    def _shun(self, host):
        with self._lock:
            self._shunned[host] = time.monotonic() + SHUNNED
            if self._primary == host:
                self._forget_primary()

    def _forget_primary(self):
        """The lock is held."""
        self._primary, self._found, self._sought = None, None, 0.0

    def writable(self):
        """Whether a write would find its node: True, False, or None while that is not known. Waits for nobody: where no such
        node is known, one is looked for beside the request."""
        now = time.monotonic()
        with self._lock:
            if self._primary is not None:
                return True
            if now - self._sought < SOUGHT:
                return self._found
            self._sought = now
            found = self._found
        threading.Thread(target=self._seek, daemon=True).start()
        return found

    def _seek(self):
        found = False
        for host in self._order():
            free, claimed = self._claim(host)
            if not free:
                continue
            try:
                connection, found = self._checkout(host)
            except psycopg2.Error:
                self._shun(host)
                continue
            finally:
                if claimed:
                    self._release(host)
            self._note(host, found)
            self._checkin(host, connection)
            if found:
                break
        with self._lock:
            self._found = found

    @contextmanager
    def transaction(self, write=False):
        """A cursor in a transaction, and the node's name. Committed at the end, rolled back on an error."""
        reasons = {}
        for host in self._order():
            free, claimed = self._claim(host)
            if not free:
                reasons[host] = "has not answered, and another request is waiting for it"
                continue
            try:
                connection, writable = self._checkout(host)
            except psycopg2.Error as error:
                self._shun(host)
                reasons[host] = first_line(error)
                continue
            finally:
                if claimed:
                    self._release(host)
            self._note(host, writable)
            if write and not writable:
                self._checkin(host, connection)
                reasons[host] = "is a standby"
                continue
            break
        else:
            raise NoDatabase("writable" if write else "readable", reasons)

        _limit.seconds = self._settings.statement_timeout
        try:
            with connection.cursor() as cursor:
                yield cursor, host
            connection.commit()
        except (psycopg2.OperationalError, psycopg2.InterfaceError) as error:
            self._close(connection)
            self._shun(host)
            raise Lost(f"{host}: {first_line(error)}") from error
        except psycopg2.errors.ReadOnlySqlTransaction as error:
            # It was demoted between the question and the work; nothing was written.
            self._close(connection)
            self._note(host, False)
            raise NoDatabase("writable", {host: "has just become a standby"}) from error
        except BaseException:
            try:
                connection.rollback()
            except psycopg2.Error:
                self._close(connection)
            self._checkin(host, connection)
            raise
        self._checkin(host, connection)
