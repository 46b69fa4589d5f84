"""The documentation as one page, made from the OpenAPI document. It asks nothing of any other address."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any, Final

from aiohttp import web

from adapters.rest.openapi import OpenApi

_STYLE: Final = """
body{font:16px/1.5 system-ui,sans-serif;margin:0 auto;max-width:60rem;padding:1rem;color:#1a1a1a;background:#fff}
h1{font-size:1.6rem}h2{margin-top:2.5rem;border-bottom:2px solid #b00;padding-bottom:.2rem}
section{border:1px solid #ccc;border-radius:.4rem;margin:1rem 0;padding:.2rem 1rem}
h3{font-size:1rem;margin:.6rem 0}code,pre{font-family:ui-monospace,monospace;font-size:.9em}
pre{background:#f5f5f5;padding:.6rem;overflow-x:auto}b.method{background:#b00;color:#fff;border-radius:.2rem;
padding:.1rem .5rem;margin-right:.5rem}table{border-collapse:collapse;width:100%}
th,td{text-align:left;vertical-align:top;border-bottom:1px solid #ddd;padding:.25rem .5rem}
summary{cursor:pointer}nav a{margin-right:1rem}
"""


class DocumentationPage:
    """The page of one OpenAPI document, for a browser on the node's machine."""

    def __init__(self, document: OpenApi) -> None:
        self._page = "".join(_page(document)).encode()
        digest = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
        self._headers = {
            "Content-Security-Policy": f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; "
            "form-action 'none'; frame-ancestors 'none'",
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
            "Cache-Control": "no-cache",
        }

    async def show(self, _request: web.Request) -> web.Response:
        return web.Response(body=self._page, content_type="text/html", charset="utf-8", headers=self._headers)


def _page(document: OpenApi) -> Iterator[str]:
    info = document["info"]
    title = escape(f"{info['title']} {info['version']}")
    yield '<!DOCTYPE html><html lang="vi"><head><meta charset="utf-8">'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield f"<title>{title}</title><style>{_STYLE}</style></head><body><h1>{title}</h1>{_prose(info['description'])}"
    yield "<p>OpenAPI 3.1: <a href='/openapi.json'>/openapi.json</a></p><nav>"
    for number, tag in enumerate(document["tags"]):
        yield f"<a href='#tag-{number}'>{escape(tag['name'])}</a>"
    yield "<a href='#schemas'>JSON</a></nav>"
    for number, tag in enumerate(document["tags"]):
        yield f"<h2 id='tag-{number}'>{escape(tag['name'])}</h2>"
        for path, methods in document["paths"].items():
            for method, operation in methods.items():
                if tag["name"] in operation["tags"]:
                    yield from _operation(method, path, operation)
    yield "<h2 id='schemas'>JSON</h2>"
    for name, schema in document["components"]["schemas"].items():
        yield from _schema(name, schema)
    yield "</body></html>\n"


def _operation(method: str, path: str, operation: Mapping[str, Any]) -> Iterator[str]:
    yield f"<section id='{escape(operation['operationId'])}'><h3><b class='method'>{method.upper()}</b>"
    yield f"<code>{escape(path)}</code></h3><p>{escape(operation['summary'])}</p>{_prose(operation['description'])}"
    if operation["parameters"]:
        yield "<table><tr><th>Tham số / Parameter</th><th></th><th></th></tr>"
        for one in operation["parameters"]:
            needed = "bắt buộc / required" if one["required"] else ""
            yield f"<tr><td><code>{escape(one['name'])}</code></td><td>{escape(one['in'])} {needed}</td>"
            yield f"<td>{_marked(one['description'])}</td></tr>"
        yield "</table>"
    for media, body in operation.get("requestBody", {}).get("content", {}).items():
        yield f"<p>Nội dung / Body: <code>{escape(media)}</code> {_type(body['schema'])}</p>"
        for example in body["schema"].get("properties", {}).get("metadata", {}).get("examples", ()):
            yield f"<pre>metadata={escape(json.dumps(example, ensure_ascii=False, indent=2))}</pre>"
    yield "<details><summary>Trả lời / Answers</summary><table>"
    for status, answer in operation["responses"].items():
        [(media, content)] = answer["content"].items()
        yield f"<tr><td>{status}</td><td>{_marked(answer['description'])}</td>"
        yield f"<td><code>{escape(media)}</code> {_type(content['schema'])}</td></tr>"
    yield "</table></details></section>"


def _schema(name: str, schema: Mapping[str, Any]) -> Iterator[str]:
    yield f"<section id='schema-{escape(name)}'><h3><code>{escape(name)}</code></h3>"
    yield _prose(schema.get("description", ""))
    if "enum" in schema:
        yield f"<p>{_type(schema)}</p>"
    if schema.get("properties"):
        yield "<table>"
        for member, one in schema["properties"].items():
            needed = "" if member in schema.get("required", ()) else "?"
            yield f"<tr><td><code>{escape(member)}{needed}</code></td><td>{_type(one)}</td>"
            yield f"<td>{_marked(one.get('description', ''))}</td></tr>"
        yield "</table>"
    yield "</section>"


def _type(schema: Mapping[str, Any]) -> str:
    """The type that a schema names, in a word or a link."""
    if reference := schema.get("$ref"):
        name = escape(reference.rpartition("/")[2])
        return f"<a href='#schema-{name}'>{name}</a>"
    for several in ("anyOf", "oneOf", "allOf"):
        if several in schema:
            return " | ".join(_type(one) for one in schema[several] if one.get("type") != "null")
    if "const" in schema:
        return f"<code>{escape(str(schema['const']))}</code>"
    if "enum" in schema:
        return " ".join(f"<code>{escape(str(value))}</code>" for value in schema["enum"])
    if schema.get("type") == "array":
        return f"[{_type(schema.get('items', {}))}]"
    return escape(str(schema.get("format") or schema.get("type") or ""))


def _prose(text: str) -> str:
    return "".join(f"<p>{_marked(paragraph)}</p>" for paragraph in text.split("\n\n") if paragraph)


def _marked(text: str) -> str:
    """`text` with what stands between backticks as code."""
    parts = escape(text).split("`")
    return "".join(f"<code>{part}</code>" if number % 2 else part for number, part in enumerate(parts))
