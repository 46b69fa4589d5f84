"""The one address: where messages are received."""

from __future__ import annotations

from django.urls import path
from pyas2.views import ReceiveAs2Message

urlpatterns = [path("as2receive", ReceiveAs2Message.as_view())]
