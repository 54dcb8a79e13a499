"""The first page: language, what this is not for, and consent."""

from __future__ import annotations

import sys

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QCheckBox, QHBoxLayout

from client.language import said
from client.reports.wording import NOT_A_DEVICE
from client.ui.translations import LANGUAGES
from client.ui.widgets.choice import ChoiceBox
from client.ui.widgets.layout import Page, button, card, label


class WelcomePage(Page):
    """agreed: everything was agreed to. language(str): another one was chosen."""

    agreed = Signal()
    language = Signal(str)

    def __init__(self, language: str) -> None:
        super().__init__(said("Welcome"))
        top = QHBoxLayout()
        top.addWidget(label(said("Welcome to Health Helper"), "title"), 1)
        self.languages = ChoiceBox()
        self.languages.setAccessibleName(said("Language"))
        for code, name in LANGUAGES.items():
            self.languages.addItem(name, code)
        self.languages.setCurrentIndex(self.languages.findData(language))
        self.languages.activated.connect(lambda at: self.language.emit(self.languages.itemData(at)))
        top.addWidget(self.languages)
        self.column.addLayout(top)
        frame, inside = card(said("What it does"))
        inside.addWidget(
            label(
                said(
                    "It measures pulse, pulse-rate variability and breathing with the camera, on this device. Pictures are thrown "
                    "away at once. Results are kept on this device only if you save them, encrypted."
                )
            )
        )
        self.column.addWidget(frame)
        frame, inside = card(said("What it is not for"))
        for line in (
            said(NOT_A_DEVICE),
            said(
                "Emergencies: chest pain, trouble breathing, signs of a stroke, thoughts of suicide. Call for help at once."
            ),
            said("People under 18."),
            said("Decisions in pregnancy, and about medicines or treatment at any time."),
        ):
            inside.addWidget(label(f"•  {line}"))
        self.column.addWidget(frame)
        frame, inside = card(said("The camera"))
        inside.addWidget(label(camera_permission(sys.platform)))
        self.column.addWidget(frame)
        self.adult = QCheckBox(said("I am 18 or older."))
        self.understood = QCheckBox(said("I have read what it is not for."))
        self.consents = QCheckBox(said("I agree that the camera is used to measure me during a scan."))
        for box in (self.adult, self.understood, self.consents):
            box.toggled.connect(self._checked)
            self.column.addWidget(box)
        row = QHBoxLayout()
        self.go_on = button(said("Continue"), self.agreed.emit, primary=True)
        self.go_on.setEnabled(False)
        row.addWidget(self.go_on)
        row.addStretch(1)
        self.column.addLayout(row)
        self.column.addStretch(1)

    def _checked(self) -> None:
        boxes = (self.adult, self.understood, self.consents)
        self.go_on.setEnabled(all(box.isChecked() for box in boxes))


def camera_permission(platform: str) -> str:
    """What a person has to do so that programs may use the camera. platform: as sys.platform."""
    if platform == "darwin":
        return said(
            "macOS asks once whether Health Helper may use the camera. To change it later: System Settings, Privacy & Security, "
            "Camera."
        )
    if platform == "win32":
        return said(
            "Windows lets programs use the camera only if that is switched on: Settings, Privacy & security, Camera, "
            '"Let desktop apps access your camera".'
        )
    return said(
        "Linux does not ask before a program uses the camera: your account needs the permission, and on most systems it has it. If "
        'the camera can\'t be opened, ask an administrator to add your account to the group "video".'
    )
