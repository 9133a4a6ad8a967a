"""Mail of SNS as files: ``<state>/mail/000001-ops@example.com.eml``, for any mail program.

Nothing leaves the machine. Called by `sns_delivery.Delivery`.
"""

from __future__ import annotations

import re
from datetime import datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from pathlib import Path

SENDER = "AWS Notifications <no-reply@sns.amazonaws.com>"
_UNSAFE = re.compile(r"[^A-Za-z0-9@._+\-]")


class Mailbox:
    """A folder of mails, in the order in which they came."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._count = 0

    def write(self, to: str, subject: str, text: str, at: datetime, message_id: str) -> Path:
        """Write one mail and return its file; ``at`` is an aware datetime."""
        mail = EmailMessage(policy=SMTP)
        mail["From"] = SENDER
        mail["To"] = to
        mail["Subject"] = subject
        mail["Date"] = format_datetime(at)
        mail["Message-ID"] = f"<{message_id}@sns.amazonaws.com>"
        mail.set_content(text)
        self._count += 1
        self._folder.mkdir(parents=True, exist_ok=True)
        name = _UNSAFE.sub("_", to)[:100].lstrip(".")
        path = self._folder / f"{self._count:06d}-{name}.eml"
        path.write_bytes(mail.as_bytes())
        return path
