"""Compresses files in three formats and reads them again."""

import gzip
import os
import tarfile
import tempfile
import zipfile


def handle(event, context):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "report.txt")
        with open(path, "w") as file:
            file.write("report\n" * 100)
        with gzip.open(path + ".gz", "wt") as file:
            file.write("packed")
        with zipfile.ZipFile(path + ".zip", "w", zipfile.ZIP_DEFLATED) as archive:
            archive.write(path, "report.txt")
        with tarfile.open(path + ".tar.gz", "w:gz") as archive:
            archive.add(path, "report.txt")
        with gzip.open(path + ".gz", "rt") as file, zipfile.ZipFile(path + ".zip") as packed:
            with tarfile.open(path + ".tar.gz") as tar:
                return {"body": [file.read(), packed.testzip(), packed.namelist(), tar.getnames()]}
