"""What the assistant's page asks and opens: consent, and the passage that an answer rests on."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QHBoxLayout, QScrollArea, QVBoxLayout, QWidget

from client.assistant.knowledge import Article
from client.language import said
from client.pipeline.sharing import assistant_question
from client.ui.pages.dialogs import Dialog
from client.ui.views.chat import CitationView, right_to_left, shown
from client.ui.widgets.layout import button, label


class TalkConsentDialog(Dialog):
    """Whether what is said and asked may be sent. choice: True, False, or None where nothing was decided."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent, said("What is sent"))
        self.choice: bool | None = None
        for at, words in enumerate(assistant_question()):
            self.column.addWidget(label(words, "" if at else "heading"))
        self.no = button(said("Answer here only"), lambda: self._chosen(given=False))
        self.buttons(said("Send to the clinic"), lambda: self._chosen(given=True), between=self.no)
        self.no.setDefault(True)
        self.no.setFocus()

    def _chosen(self, *, given: bool) -> None:
        self.choice = given
        self.accept()


class PassageDialog(Dialog):
    """What an answer cites, as it is, and the article of ours that it is of. Nothing in it leads anywhere; addresses are words."""

    def __init__(self, parent: QWidget, citation: CitationView, article: Article | None) -> None:
        super().__init__(parent, said("Source"))
        self.setAccessibleDescription(citation.spoken)
        self.title = label(citation.title or citation.words, "heading")
        self.text = label(citation.text or said("There is nothing more to be shown of this source."))
        self.text.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.article, self.sources = label(), label("", "muted")
        if article is not None:
            self.article.setText(shown(article.text))
            lines = [said("This article rests on:"), *map(shown, article.sources)]
            if article.reviewed == "no":
                lines.append(said("No clinician has reviewed it yet."))
            self.sources.setText("\n".join(lines))
        parts = (self.title, self.text, self.article, self.sources)
        for one in parts[:3]:
            one.setLayoutDirection(
                Qt.LayoutDirection.RightToLeft
                if right_to_left(one.text())
                else Qt.LayoutDirection.LeftToRight
            )
        inside = QWidget()
        inside.setObjectName("page")
        column = QVBoxLayout(inside)
        for one in parts:
            column.addWidget(one)
            one.setVisible(bool(one.text()))
        if article is not None:
            column.insertWidget(2, label(said("The whole article"), "heading"))
        column.addStretch(1)
        area = QScrollArea()
        area.setWidget(inside)
        area.setWidgetResizable(True)
        area.setFocusPolicy(Qt.FocusPolicy.StrongFocus)  # arrows scroll it
        area.setAccessibleName(said("The passage"))
        area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        room = parent.size()
        area.setMinimumSize(min(460, max(280, room.width() - 120)), min(320, max(160, room.height() - 260)))
        self.column.addWidget(area, 1)
        row = QHBoxLayout()
        row.addStretch(1)
        self.ok = button(said("Close"), self.accept, primary=True)
        self.ok.setDefault(True)
        row.addWidget(self.ok)
        self.column.addLayout(row)
        self.ok.setFocus()
