"""Every way in which some server out there reads the bytes of a connection as requests: the oracle of
what could be smuggled. Whatever one of them would take for a request is a request."""
import itertools, posixpath, re, urllib.parse

ENDS = {"crlf": (rb"\r\n\r\n", rb"\r\n"), "lf": (rb"\r?\n\r?\n", rb"\r?\n"), "any": (rb"(?:\r\n|\r(?!\n)|\n){2}", rb"\r\n|\r|\n")}


def targets(data):
    """The paths of all requests in all readings."""
    found = set()
    for end, framing, strict in itertools.product(ENDS, ("first", "last", "chunked", "exact"), (True, False)):
        found.update(read(data, end, framing, strict))
    return sorted(set(itertools.chain.from_iterable(map(spellings, found))))


def read(data, end, framing, strict):
    head_end, line_end = ENDS[end]
    while data:
        data = data.lstrip(b"\r\n")
        cut = re.search(head_end, data)
        if not cut:
            first = re.split(line_end, data)[0].split()
            # HTTP/0.9 has one line.
            if len(first) == 2 and first[0].isalpha() and first[1].startswith(b"/"):
                yield first[1]
            return
        lines, data = re.split(line_end, data[:cut.start()]), data[cut.end():]
        for word in lines[0].split()[1:]:
            if not word.startswith(b"HTTP/"):
                yield word
        size, chunked = 0, False
        lengths = []
        unfolded = []
        for line in lines[1:]:
            if line[:1] in (b" ", b"\t") and unfolded and not strict:
                unfolded[-1] += line
            else:
                unfolded.append(line)
        for line in unfolded:
            name, _, value = line.partition(b":")
            name = re.sub(rb"[\s\0]", b"", name).lower()
            if name == b"content-length":
                lengths += [int(digits) for digits in re.findall(rb"\d+", value)[:2]]
            if name == b"transfer-encoding":
                plain = value.strip().lower()
                chunked |= plain == b"chunked" if framing == "exact" else b"chunked" in plain
        # Whoever prefers a length still takes chunks where there is none.
        if chunked and (framing in ("chunked", "exact") or not lengths):
            data = after_chunks(data, rb"\r?\n" if not strict else rb"\r\n")
            continue
        size = (lengths or [0])[0 if framing == "first" else -1]
        data = data[size:]


def after_chunks(data, end):
    while True:
        line = re.search(end, data)
        size = re.match(rb"\s*(?:0x)?([0-9a-fA-F]+)", data)
        if not line or not size:
            return data
        data, size = data[line.end():], int(size[1], 16)
        if size == 0:
            while (line := re.search(end, data)) and line.start() > 0:
                data = data[line.end():]
            return data[line.end():] if line else b""
        data = data[size:]
        data = data[re.match(rb"\r?\n?", data).end():]


def spellings(target):
    """What a path means to servers that decode it, once or twice, and tidy it up."""
    text = target.decode("latin-1")
    if "://" in text:
        yield text
        text = "/" + text.split("://", 1)[1].partition("/")[2]
    text = re.split("[?#]", text)[0]
    for _ in range(3):
        yield text
        # Three bytes for a dot, as old decoders took them.
        plain = text.replace("\xc0\xae", ".").replace("%u002e", ".").replace("\\", "/").split("\0")[0]
        plain = "/".join(part.split(";")[0] for part in plain.split("/"))
        yield posixpath.normpath("/" + plain.lstrip("/"))
        text = urllib.parse.unquote(text, "latin-1")
