"""How this device comes to a clinic, and leaves it."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QLineEdit, QWidget

from client.errors import HealthHelperError
from client.language import said
from client.pipeline.sharing import clinic_of, server_of
from client.ui.pages.dialogs import Dialog
from client.ui.pages.job import Job
from client.ui.shelf import Open
from client.ui.widgets.layout import label

_LONGEST_CODE, _LONGEST_ADDRESS = 60, 200
Enrol = Callable[[str, str | None, Callable[[], None], Callable[[HealthHelperError], None]], None]
"""(code, address or None, then, otherwise): asks the clinic's server, in another thread."""


class EnrolDialog(Dialog):
    """The code of the clinic's administrator. Accepted once the server has taken it.

    server: of the policy, or None: the address is typed too. What was typed stays while it is tried, and after a refusal.
    """

    def __init__(self, parent: QWidget, server: str | None, enrol: Enrol) -> None:
        super().__init__(parent, said("Enrol this device"))
        self._server, self._enrol, self._there = server, enrol, True
        self.column.addWidget(
            label(
                said(
                    "Ask the clinic's administrator for a code. It is good for ten minutes and works once. Nothing is sent before each "
                    "person has agreed."
                )
            )
        )
        self.column.addWidget(label(said("Code (spaces and hyphens do not matter):")))
        self.code = QLineEdit()
        self.code.setMaxLength(_LONGEST_CODE)
        self.code.setAccessibleName(said("Code"))
        self.code.setInputMethodHints(
            Qt.InputMethodHint.ImhNoPredictiveText
            | Qt.InputMethodHint.ImhSensitiveData
            | Qt.InputMethodHint.ImhPreferUppercase
        )
        self.column.addWidget(self.code)
        self.address = QLineEdit()
        self.address.setMaxLength(_LONGEST_ADDRESS)
        self.address.setAccessibleName(said("Address of the clinic's server"))
        self.address.setPlaceholderText("https://")
        self.address.setLayoutDirection(Qt.LayoutDirection.LeftToRight)
        if server is None:
            self.column.addWidget(label(said("Address of the clinic's server:")))
            self.column.addWidget(self.address)
        else:
            self.column.addWidget(
                label(said("With the clinic at {server}.", server=server_of(server)), "muted")
            )
        self.busy = label("", "muted")
        self.busy.hide()
        self.column.addWidget(self.busy)
        self.buttons(said("Enrol"), self._accept)
        self.finished.connect(self._gone)

    def _gone(self) -> None:
        self._there = False

    def _accept(self) -> None:
        code, address = self.code.text(), self.address.text().strip()
        if not code.strip():
            self.tell(said("Type the code."))
            self.code.setFocus()
            return
        if self._server is None and not address:
            self.tell(said("Type the address; it begins with https://."))
            self.address.setFocus()
            return
        self.tell("")
        self._set_busy(said("The clinic's server is being asked …"))
        self._enrol(code, address or None, self._done, self._failed)

    def _done(self) -> None:
        if self._there:
            self.accept()

    def _failed(self, fault: HealthHelperError) -> None:
        if self._there:
            self._set_busy("")
            self.tell(f"{fault.title}. {fault.remedy}")
            self.code.setFocus()
            self.code.selectAll()

    def _set_busy(self, words: str) -> None:
        self.busy.setText(words)
        self.busy.setVisible(bool(words))
        for one in (self.ok, self.code, self.address):
            one.setEnabled(not words)
        self.grow()


class Enrolling(Job):
    """What is done with this device's enrolment."""

    def enrol(self) -> None:
        """With a code. What waits is sent from then on, of those who have agreed. An enrolment that is there is replaced only where somebody
        wants that.
        """
        state = self.shelf.state
        if isinstance(state, Open) and (not state.server or self._replace(state)):
            EnrolDialog(self.window, state.policy.cloud_url, self._ask).exec()

    def _replace(self, state: Open) -> bool:
        question = said(
            "This device is enrolled already. {clinic} Enrol it anew? The enrolment that it has is replaced once the new code was taken. With "
            "another clinic, what waits for this one is held back until the device is back with it.",
            clinic=clinic_of(state.server, state.clinic),
        )
        return self.confirmed(said("Enrolled already"), question, said("Enrol it anew"))

    def _ask(
        self,
        code: str,
        address: str | None,
        then: Callable[[], None],
        otherwise: Callable[[HealthHelperError], None],
    ) -> None:
        def done(_: object) -> None:
            then()
            state = self.shelf.state
            if isinstance(state, Open):
                words = said(
                    "This device is enrolled with the clinic at {server}.", server=server_of(state.server)
                )
                self.notice.tell(f"{words} {clinic_of(state.server, state.clinic)}")

        self.shelf.over_network(lambda kept: kept.enrol(code, address), done, otherwise)

    def leave(self) -> None:
        """Nothing is sent any more."""
        state = self.shelf.state
        if not isinstance(state, Open):
            return
        question = said(
            "Leave the clinic at {server}? Nothing is sent any more, and what waits stays on this device. What was sent stays at the "
            "clinic, whose administrator should remove this device there too. To come back, a new code is needed.",
            server=server_of(state.server),
        )
        if self.confirmed(said("Leave the clinic"), question, said("Leave the clinic")):
            self.shelf.over_network(  # what is under way is waited for
                lambda kept: kept.leave(),
                lambda _: self.notice.tell(said("This device is enrolled with no clinic any more.")),
                self.tell_fault,
            )
