"""The OpenAPI 3.1 document of the API, made from its operations: what is served is what is described."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final, TypeAlias

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from adapters import problems
from adapters.message_json import CODE_PATTERN
from adapters.problems import Problem
from adapters.rest.operations import COMMON_PROBLEMS, JSON, Answer, Operation, Words
from adapters.rest.shapes import OverrideRequest
from adapters.rest.tokens import Scope

OpenApi: TypeAlias = dict[str, Any]

_SCHEMAS: Final = "#/components/schemas/{model}"
_PARAMETER: Final = re.compile(r"\{(\w+)\}")

_PATH_PARAMETERS: Final = {
    "message_id": (
        Words("Mã thông điệp", "The message's id"),
        {"type": "string", "pattern": "^[0-9a-f]{64}$"},
    ),
    "recipient": (
        Words("Cơ quan nhận", "The agency of this node that it is for"),
        {"type": "string", "pattern": CODE_PATTERN, "minLength": 3, "maxLength": 35},
    ),
    "code": (
        Words("Mã định danh cơ quan", "The agency's code"),
        {"type": "string", "pattern": CODE_PATTERN, "minLength": 3, "maxLength": 35},
    ),
    "number": (Words("Số thứ tự", "1 for the first"), {"type": "integer", "minimum": 1, "maximum": 1_000_000}),
}
_PROBLEM_WORDS: Final = {
    400: Words("Yêu cầu sai dạng", "The request is malformed"),
    401: Words("Không có hoặc sai khóa truy cập", "No token, or none that holds"),
    403: Words("Khóa không có quyền này", "The token does not give that"),
    404: Words("Không có", "There is no such thing"),
    409: Words("Xung đột", "It conflicts with what was before"),
    410: Words("Đã xóa theo thời hạn lưu", "Its content was removed when its time of keeping ended"),
    413: Words("Quá lớn", "Too large"),
    415: Words("Sai loại nội dung", "Another type of content is needed"),
    416: Words("Khoảng byte không có", "No such range of bytes"),
    422: Words("Nội dung bị từ chối", "What it says is refused: `code` names the rule"),
    429: Words("Quá nhiều cùng lúc", "Too many at once"),
    500: Words("Lỗi của nút", "A fault of the node"),
    503: Words("Tạm thời không được, thử lại sau", "Not now: again after Retry-After"),
    507: Words("Hết chỗ trên đĩa", "The node's disk is full"),
}
_INTRODUCTION: Final = (
    "API nội bộ của nút Công văn cho phần mềm quản lý văn bản. Mỗi yêu cầu mang khóa: `Authorization: Bearer "
    "congvan-rest_…`.\n\n"
    "The local API of a Congvan node, for document management software. Each request bears a token, made by "
    "`congvan node token add`. Errors are problem documents (RFC 9457); their `code` is stable, `retryable` says "
    "whether the same request may work later."
)


def openapi_document(operations: Sequence[Operation]) -> OpenApi:
    """The document of `operations`."""
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation)
    tags = {str(operation.tag): {"name": str(operation.tag)} for operation in operations}
    return {
        "openapi": "3.1.0",
        "info": {"title": "Công văn REST API", "version": _version(), "description": _INTRODUCTION},
        "tags": list(tags.values()),
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": f"Scopes: {', '.join(Scope)}.",
                }
            },
            "schemas": _schemas(operations),
        },
    }


def _version() -> str:
    try:
        return version("congvan")
    except PackageNotFoundError:
        return "0"


def _operation(operation: Operation) -> OpenApi:
    described: OpenApi = {
        "operationId": operation.name,
        "tags": [str(operation.tag)],
        "summary": str(operation.words),
        "parameters": list(_parameters(operation)),
        "responses": dict(_responses(operation)),
    }
    rights = f"Scope: `{operation.scope}`." if operation.scope else "Any token."
    described["description"] = f"{operation.detail}\n\n{rights}".strip()
    if (body := _body(operation)) is not None:
        described["requestBody"] = {"required": True, "content": body}
    return described


def _parameters(operation: Operation) -> Iterator[OpenApi]:
    for name in _PARAMETER.findall(operation.path):
        words, schema = _PATH_PARAMETERS[name]
        yield {"name": name, "in": "path", "required": True, "description": str(words), "schema": schema}
    if operation.keyed:
        yield {
            "name": "Idempotency-Key",
            "in": "header",
            "required": True,
            "description": "Mã của phần mềm gửi / Your own id of what is sent: once per key.",
            "schema": {"type": "string", "pattern": "^[!-~]{1,200}$", "minLength": 1, "maxLength": 200},
        }
    for name, words in operation.headers.items():
        yield {"name": name, "in": "header", "required": False, "description": str(words), "schema": {"type": "string"}}
    if operation.query is not None:
        schema = operation.query.model_json_schema(ref_template=_SCHEMAS)
        for name, one in schema["properties"].items():
            yield {
                "name": name,
                "in": "query",
                "required": name in schema.get("required", ()),
                "description": one.get("description", ""),
                "schema": _parameter_schema(one),
            }


def _parameter_schema(schema: Mapping[str, Any]) -> OpenApi:
    """A query has no null: what is optional is left out."""
    chosen = dict(schema)
    if "anyOf" in chosen:
        chosen = next(dict(one) for one in chosen["anyOf"] if one.get("type") != "null")
    return {name: value for name, value in chosen.items() if name not in ("title", "description", "default")}


def _body(operation: Operation) -> OpenApi | None:
    content: OpenApi = {}
    if operation.body is not None:
        content[JSON] = {"schema": _reference(operation.body)}
    if operation.media is not None:
        content[operation.media] = {"schema": {}}
    if operation.multipart:
        form = {
            "type": "object",
            "required": ["metadata"],
            "additionalProperties": False,
            "properties": {
                "metadata": {
                    "type": "object",
                    "description": "Siêu dữ liệu văn bản / The document's metadata.",
                    "examples": [_METADATA_EXAMPLE],
                },
                "override": _reference(OverrideRequest),
                "file": {
                    "type": "array",
                    "items": {"type": "string", "contentMediaType": "application/octet-stream"},
                    "description": "Tệp đính kèm / The attachments, each with a filename.",
                },
            },
        }
        encoding = {name: {"contentType": JSON} for name in ("metadata", "override")}
        content["multipart/form-data"] = {"schema": form, "encoding": encoding}
    return content or None


def _responses(operation: Operation) -> Iterator[tuple[str, OpenApi]]:
    for status, answer in operation.answers.items():
        yield str(status), _response(answer)
    for status in sorted({*COMMON_PROBLEMS, *operation.problems}):
        yield (
            str(status),
            {
                "description": str(_PROBLEM_WORDS[status]),
                "content": {problems.TYPE: {"schema": _reference(Problem)}},
            },
        )


def _response(answer: Answer) -> OpenApi:
    schema = _reference(answer.shape) if answer.shape else {}
    described: OpenApi = {"description": str(answer.words), "content": {answer.media: {"schema": schema}}}
    if answer.headers:
        described["headers"] = {
            name: {"description": str(words), "schema": {"type": "string"}} for name, words in answer.headers.items()
        }
    return described


def _reference(shape: type[BaseModel]) -> OpenApi:
    return {"$ref": _SCHEMAS.format(model=shape.__name__)}


def _schemas(operations: Iterable[Operation]) -> OpenApi:
    taken: set[type[BaseModel]] = {operation.body for operation in operations if operation.body is not None}
    if any(operation.multipart for operation in operations):
        taken.add(OverrideRequest)
    given = {answer.shape for operation in operations for answer in operation.answers.values() if answer.shape}
    models = sorted(taken | given | {Problem}, key=lambda model: model.__name__)
    _, schemas = models_json_schema(
        [(model, "validation" if model in taken else "serialization") for model in models], ref_template=_SCHEMAS
    )
    definitions: OpenApi = schemas["$defs"]
    return definitions


_METADATA_EXAMPLE: Final = {
    "subject": "V/v báo cáo kết quả gửi, nhận văn bản điện tử",
    "code": "6101/VPCP-KSTT",
    "place": "Hà Nội",
    "to": ["H23", "000.00.00.H31"],
    "signer": {"full_name": "Nguyễn Thị Lan", "position": "Phó Chủ nhiệm"},
    "priority": "khẩn",
}
