"""Connects to where the user parameters say, and lives until somebody ends it."""

import socket


def handler(event, context):
    configuration = event["CodePipeline.job"]["data"]["actionConfiguration"]["configuration"]
    host, port = configuration["UserParameters"].split(":")
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(b"here")
        while True:
            connection.recv(1)
