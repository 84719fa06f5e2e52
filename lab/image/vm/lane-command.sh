#!/bin/sh
# Runs what was asked for where everything else on the host runs, not in the lane's network namespace.
exec nsenter --net=/proc/1/ns/net -- sh -c "${SSH_ORIGINAL_COMMAND:-exec bash -l}"
