"""The clients of a fault history: they write without a pause and write down what was acknowledged, by whom and when.

One kind comes through the virtual address, as users do. The other holds connections open to each database server, as pools
do, and asks for nothing but the next row: whatever a server acknowledges is seen.
A write is never sent twice. Times are CLOCK_MONOTONIC: all hosts of a lab of containers share it with the machine.

usage: client.py LOG RUN VIP SERVER... (the database's name, user and password come from the environment)
"""

import http.client
import json
import os
import sys
import threading
import time

import psycopg2

LOG, RUN, VIP, *SERVERS = sys.argv[1:]
PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010806000000"
    "1f15c4890000000d4944415478da63fccfc0500f000485018084a98c21"
    "0000000049454e44ae426082"
)
INSERT = """INSERT INTO chaos (run, client, seq) VALUES (%s, %s, %s)
RETURNING host(inet_server_addr()), ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int"""
CONNECTIONS = 2
BROWSERS = 2

book = open(LOG, "a", buffering=1, encoding="utf-8")
lock = threading.Lock()


def note(client, seq, sent, result, server="", timeline=0, said=""):
    line = {
        "client": client,
        "seq": seq,
        "sent": sent,
        "ended": time.monotonic(),
        "result": result,
        "server": server,
        "timeline": timeline,
        "said": said,
    }
    with lock:
        book.write(json.dumps(line) + "\n")


def first_line(error):
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else type(error).__name__


def hold(client, server, patient):
    """Rows over a connection that is kept for as long as it lives. One that is not patient notices when its server's host is
    gone, and comes back to it soon after its return; a patient one gets the answer that was on its way."""
    connection, seq = None, 0
    while True:
        if connection is None:
            try:
                connection = psycopg2.connect(
                    host=server,
                    dbname=os.environ["WELCOME_APP_DB_NAME"],
                    user=os.environ["WELCOME_APP_DB_USER"],
                    password=os.environ["WELCOME_APP_DB_PASSWORD"],
                    connect_timeout=2,
                    keepalives=0,
                    tcp_user_timeout=0 if patient else 3000,
                    application_name="chaos",
                )
                connection.autocommit = True
            except psycopg2.Error:
                connection = None
                time.sleep(0.1)
                continue
        seq += 1
        sent = time.monotonic()
        try:
            with connection.cursor() as cursor:
                cursor.execute(INSERT, (RUN, client, seq))
                address, timeline = cursor.fetchone()
            # A server that gives up waiting for its replica says so in a warning: that row is not acknowledged.
            warned = [text for text in connection.notices if "synchronous" in text]
            del connection.notices[:]
            note(client, seq, sent, "unknown" if warned else "ok", address, timeline)
        except psycopg2.errors.ReadOnlySqlTransaction:
            # A standby. The connection stays: it may be promoted.
            time.sleep(0.05)
            continue
        except psycopg2.Error as error:
            note(client, seq, sent, "unknown", server, 0, first_line(error))
            try:
                connection.close()
            except psycopg2.Error:
                pass
            connection = None
        time.sleep(0.05)


def browse(client):
    """Rows through the virtual address; each request is a connection of its own."""
    seq = 0
    while True:
        seq += 1
        mark = "chaos-boundary"
        text = f"chaos {RUN} {client} {seq}"
        body = (
            f'--{mark}\r\nContent-Disposition: form-data; name="quote"\r\n\r\n{text}\r\n'
            f'--{mark}\r\nContent-Disposition: form-data; name="image"; filename="chaos.png"\r\n'
            "Content-Type: image/png\r\n\r\n"
        ).encode() + PIXEL + f"\r\n--{mark}--\r\n".encode()
        sent = time.monotonic()
        connection = http.client.HTTPConnection(VIP, 80, timeout=12)
        try:
            connection.request(
                "POST", "/api/content", body, {"Content-Type": f"multipart/form-data; boundary={mark}"}
            )
            answer = connection.getresponse()
            content = answer.read()
            if answer.status == 201:
                note(client, seq, sent, "ok", json.loads(content).get("database", ""))
            else:
                said = content.decode("utf-8", "replace")[:200]
                # The application knows which of its refusals wrote nothing; a proxy does not.
                note(client, seq, sent, "unknown", "", 0, f"{answer.status} {said}")
        except (OSError, http.client.HTTPException, ValueError) as error:
            note(client, seq, sent, "unknown", "", 0, first_line(error))
        finally:
            connection.close()
        time.sleep(0.1)


for index, server in enumerate(SERVERS):
    for number in range(CONNECTIONS):
        threading.Thread(target=hold, args=(f"held{index}{number}", server, number == 0), daemon=True).start()
for number in range(BROWSERS):
    threading.Thread(target=browse, args=(f"web{number}",), daemon=True).start()
threading.Event().wait()
