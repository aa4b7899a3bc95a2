"""The AWS CLI of Debian, loaded once. Each call is a fork of this process that takes over the caller's arguments, environment, folder and streams; what
happens from there on is the CLI's own code. Loading it takes half a second of a core, ten times as much as a call.

Usage: python3 serve.py SOCKET. Says "ready" on standard output; ends with its standard input.
"""
import gc
import json
import os
import selectors
import socket
import sys

import awscli.clidriver

# what every call reads of the CLI's own data
WARM = [('iot', 'service-2'), ('iot', 'paginators-1'), ('iot', 'endpoint-rule-set-1')]
WARM += [('sts', 'service-2'), ('sts', 'endpoint-rule-set-1')]
WARM += [('iam', 'service-2'), ('iam', 'paginators-1'), ('iam', 'endpoint-rule-set-1')]
BACKLOG = 64


def call(connection, driver):
    request, streams, _, _ = socket.recv_fds(connection, 1 << 20, 3)
    asked = json.loads(request)
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.chdir(asked['folder'])
    os.environ.clear()
    os.environ.update(asked['environment'])
    # the settings that were read with the CLI are nobody's: profiles are the caller's
    driver.session._config = driver.session._profile_map = None
    sys.argv = asked['argv']
    try:
        code = driver.main(sys.argv[1:])
    except SystemExit as end:
        code = end.code
    sys.stdout.flush()
    sys.stderr.flush()
    connection.sendall(str(code or 0).encode())


def reap():
    """Lets the forks go that have ended."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass  # there is none


def main():
    driver = awscli.clidriver.create_clidriver()
    loader = driver.session.get_component('data_loader')
    for service, kind in WARM:
        loader.load_service_model(service, kind)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(sys.argv[1])
    listener.listen(BACKLOG)
    selector = selectors.DefaultSelector()
    selector.register(listener, selectors.EVENT_READ)
    selector.register(sys.stdin, selectors.EVENT_READ)
    gc.freeze()
    print('ready', flush=True)
    while True:
        if any(key.fileobj is sys.stdin for key, _ in selector.select()):
            return
        reap()
        connection, _ = listener.accept()
        if os.fork() == 0:
            listener.close()
            try:
                call(connection, driver)
            finally:
                os._exit(0)
        connection.close()


main()
