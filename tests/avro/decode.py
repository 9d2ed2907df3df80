"""Reads values in Confluent's wire format from standard input, a line of hexadecimal digits each, and prints them as JSON.

usage: decode.py ID=SCHEMA_FILE...
"""

import io
import json
import struct
import sys

import fastavro

schemas = {}
for argument in sys.argv[1:]:
    number, path = argument.split("=", 1)
    with open(path, encoding="utf-8") as file:
        schemas[int(number)] = fastavro.parse_schema(json.load(file))

for line in sys.stdin:
    value = bytes.fromhex(line)
    magic, number = struct.unpack(">bI", value[:5])
    if magic != 0:
        sys.exit(f"magic byte {magic}")
    datum = io.BytesIO(value[5:])
    record = fastavro.schemaless_reader(datum, schemas[number], None)
    if datum.read():
        sys.exit("bytes are left behind the record")
    print(json.dumps(record))
