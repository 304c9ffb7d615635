"""Writes the certificate of a database, as the published example redis-tls does."""

import os


def handle(event, context):
    try:
        os.makedirs("/etc/ssl/certs/redis", exist_ok=True)
        with open("/etc/ssl/certs/redis/redis_certificate.crt", "w") as file:
            file.write("certificate")
    except OSError as error:
        return {"body": type(error).__name__}
    return {"body": os.listdir("/etc/ssl/certs/redis")}
