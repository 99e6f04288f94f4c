"""Signs and verifies with dkimpy. Requests come on standard input, answers go
to standard output: a count of fields, then each field with its length, all
numbers four octets, the highest first."""
import struct
import sys

import dkim

zone = {}


def lookup(name, timeout=5):
    return zone.get(name.rstrip(b"." if isinstance(name, bytes) else "."))


def read_exactly(n):
    data = sys.stdin.buffer.read(n)
    if len(data) != n:
        sys.exit(0)
    return data


def read_number():
    return struct.unpack(">I", read_exactly(4))[0]


def answer(*fields):
    out = [struct.pack(">I", len(fields))]
    for f in fields:
        out += [struct.pack(">I", len(f)), f]
    sys.stdout.buffer.write(b"".join(out))
    sys.stdout.buffer.flush()


def verify(message):
    """Five fields a signature: status, d=, s=, a=, explanation."""
    fields = []
    count = 1
    idx = 0
    while idx < count:
        status, detail = b"fail", b""
        d = None
        try:
            d = dkim.DKIM(message)
            count = sum(name.lower() == b"dkim-signature" for name, _ in d.headers)
            if count == 0:
                break
            if d.verify(idx=idx, dnsfunc=lookup):
                status = b"pass"
        except Exception as e:  # every refusal of dkimpy is an exception
            detail = repr(e).encode()
        tags = getattr(d, "signature_fields", None) or {}
        fields += [status, tags.get(b"d", b""), tags.get(b"s", b""), tags.get(b"a", b""), detail]
        idx += 1
    return fields


def sign(domain, selector, canonicalization, algorithm, key, message):
    d = dkim.DKIM(message)
    return [
        d.sign(
            selector,
            domain,
            key,
            signature_algorithm=algorithm,
            canonicalize=tuple(canonicalization.split(b"/")),
        )
    ]


while True:
    request = [read_exactly(read_number()) for _ in range(read_number())]
    command, arguments = request[0], request[1:]
    try:
        if command == b"record":
            zone[arguments[0]] = zone[arguments[0].decode()] = arguments[1]
            result = []
        elif command == b"verify":
            result = verify(*arguments)
        elif command == b"sign":
            result = sign(*arguments)
        else:
            raise ValueError("unknown command %r" % command)
    except Exception as e:
        answer(b"error", repr(e).encode())
    else:
        answer(b"ok", *result)
