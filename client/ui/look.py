"""The look of the window: one palette of ours becomes Qt's palette and style sheet."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtGui import QColor, QFont, QGuiApplication, QPalette
from PySide6.QtWidgets import QApplication

from client.ui.views.palette import DARK, THEMES, Palette

SIZES_PERCENT = (100, 125, 150, 175, 200)
BASE_POINTS = 11.0
_current = THEMES["light"]


def current() -> Palette:
    """The palette in use: for what paints itself."""
    return _current


def wanted_palette(theme: str) -> Palette:
    """theme: "light", "dark" or "system"."""
    if theme in THEMES:
        return THEMES[theme]
    hints = QGuiApplication.styleHints()
    return DARK if hints.colorScheme() is Qt.ColorScheme.Dark else THEMES["light"]


def apply(app: QApplication, palette: Palette, percent: int) -> None:
    """Give the whole application these colours, and this size of text (percent of the usual one)."""
    global _current  # noqa: PLW0603 (one window, one look)
    _current = palette
    app.setStyle("Fusion")
    font = QFont(app.font())
    font.setPointSizeF(BASE_POINTS * percent / 100.0)
    app.setFont(font)
    app.setPalette(_qt_palette(palette))
    app.setStyleSheet(_sheet(palette, font.pointSizeF()))


def _qt_palette(palette: Palette) -> QPalette:
    made = QPalette()
    role = QPalette.ColorRole
    for which, colour in (
        (role.Window, palette.window),
        (role.WindowText, palette.text),
        (role.Base, palette.surface),
        (role.AlternateBase, palette.window),
        (role.Text, palette.text),
        (role.PlaceholderText, palette.muted),
        (role.Button, palette.raised),
        (role.ButtonText, palette.text),
        (role.Highlight, palette.accent),
        (role.HighlightedText, palette.on_accent),
        (role.ToolTipBase, palette.surface),
        (role.ToolTipText, palette.text),
        (role.Link, palette.accent),
        (role.Accent, palette.accent),
    ):
        made.setColor(which, QColor(colour))
    for which in (role.WindowText, role.Text, role.ButtonText):
        made.setColor(QPalette.ColorGroup.Disabled, which, QColor(palette.muted))
    return made


def _sheet(p: Palette, points: float) -> str:
    return f"""
    QWidget {{ font-size: {points:.1f}pt; }}
    QFrame#card {{ background: {p.surface}; border: 1px solid {p.line}; border-radius: 10px; }}
    QFrame#notice {{ background: {p.notice}; border: 1px solid {p.control}; border-radius: 8px; }}
    QFrame#person, QFrame#assistant, QFrame#safety {{ background: {p.surface}; border: 1px solid {p.line};
                   border-radius: 10px; }}
    QFrame#person {{ background: {p.raised}; }}
    QFrame#person[partial="true"] {{ background: {p.surface}; border: 1px dashed {p.control}; }}
    QFrame#safety {{ border: 3px solid {p.danger}; }}
    QFrame#emergency {{ background: {p.danger}; border: 4px solid {p.text}; border-radius: 10px; }}
    QFrame#urgent {{ background: {p.surface}; border: 4px solid {p.warning}; border-radius: 10px; }}
    QFrame#emergency QLabel {{ color: {p.surface}; }}
    QFrame#emergency QPushButton {{ background: {p.surface}; color: {p.text}; border: 2px solid {p.surface}; font-weight: 600; }}
    QFrame#emergency QPushButton:focus {{ border: 4px solid {p.accent}; }}
    QLabel#alarm {{ font-size: {points * 1.6:.1f}pt; font-weight: 700; padding: 4px; border: 3px solid transparent; }}
    QLabel#alarm_words {{ font-size: {points * 1.25:.1f}pt; font-weight: 600; padding: 4px; border: 3px solid transparent; }}
    QFrame#emergency QLabel#alarm_words:focus {{ border: 3px solid {p.surface}; }}
    QFrame#urgent QLabel#alarm_words:focus {{ border: 3px solid {p.accent}; }}
    QLabel#who {{ font-weight: 600; color: {p.muted}; }}
    QPushButton#citation, QPushButton#verdict {{ padding: 0.25em 0.7em; }}
    QPushButton#verdict:checked, QPushButton#talk[on="true"] {{ background: {p.accent}; color: {p.on_accent};
                   border: 2px solid {p.accent}; }}
    QScrollArea#transcript {{ border: 1px solid {p.line}; border-radius: 10px; }}
    QScrollArea#transcript:focus {{ border: 2px solid {p.accent}; }}
    QPlainTextEdit#composer {{ background: {p.surface}; color: {p.text}; border: 1px solid {p.control}; border-radius: 8px;
                   padding: 0.3em 0.5em; }}
    QPlainTextEdit#composer:focus {{ border: 2px solid {p.accent}; }}
    QFrame#bar {{ background: {p.surface}; border: 0; border-bottom: 1px solid {p.line}; }}
    QScrollArea {{ border: 0; background: {p.window}; }}
    QScrollArea > QWidget > QWidget#page {{ background: {p.window}; }}
    QLabel {{ background: transparent; }}
    QLabel#title {{ font-size: {points * 1.7:.1f}pt; font-weight: 600; }}
    QLabel#heading {{ font-size: {points * 1.25:.1f}pt; font-weight: 600; }}
    QLabel#key {{ font-size: {points * 1.25:.1f}pt; font-weight: 600; padding: 0.3em;
                   border: 2px solid transparent; border-radius: 6px; }}
    QLabel#key:focus {{ border: 2px solid {p.accent}; }}
    QLabel#muted {{ color: {p.muted}; }}
    QLabel#warning {{ color: {p.warning}; font-weight: 600; }}
    QLabel#state {{ font-size: {points * 1.25:.1f}pt; font-weight: 600; }}
    QLabel[role="good"], QPushButton#badge[role="good"] {{ color: {p.good}; }}
    QLabel[role="muted"], QPushButton#badge[role="muted"] {{ color: {p.muted}; }}
    QLabel[role="warning"], QPushButton#badge[role="warning"] {{ color: {p.warning}; }}
    QLabel[role="danger"], QPushButton#badge[role="danger"] {{ color: {p.danger}; }}
    QLabel#hint {{ font-size: {points * 1.35:.1f}pt; font-weight: 600; }}
    QLabel#number {{ font-size: {points * 3.2:.1f}pt; font-weight: 700; }}
    QLabel#value {{ font-size: {points * 2.0:.1f}pt; font-weight: 700; }}
    QPushButton {{ background: {p.raised}; color: {p.text}; border: 1px solid {p.control}; border-radius: 8px;
                   padding: 0.5em 1.1em; }}
    QPushButton:hover {{ border: 1px solid {p.accent}; }}
    QPushButton:focus {{ border: 2px solid {p.accent}; }}
    QPushButton:disabled {{ color: {p.muted}; border: 1px dashed {p.control}; }}
    QPushButton#primary, QPushButton#nav:checked {{ background: {p.accent}; color: {p.on_accent};
                   border: 2px solid {p.accent}; }}
    QPushButton#primary {{ font-weight: 600; }}
    QPushButton#primary:focus, QPushButton#nav:checked:focus {{ border: 2px solid {p.text}; }}
    QPushButton#primary:disabled {{ background: {p.raised}; color: {p.muted}; border: 1px dashed {p.control}; }}
    QPushButton#nav {{ border-color: transparent; background: transparent; padding: 0.5em 0.8em; }}
    QPushButton#nav:focus {{ border: 2px solid {p.accent}; }}
    QPushButton#badge {{ background: {p.surface}; font-weight: 600; }}
    QPushButton#badge:checked {{ border: 2px solid {p.text}; }}
    QProgressBar {{ min-height: 0.8em; max-height: 0.8em; background: {p.raised}; border: 1px solid {p.control};
                   border-radius: 6px; }}
    QProgressBar::chunk {{ background: {p.accent}; border-radius: 5px; }}
    QComboBox, QDateTimeEdit {{ min-height: {points * 2.4:.0f}px; }}
    QLineEdit {{ background: {p.surface}; color: {p.text}; border: 1px solid {p.control};
                   border-radius: 6px; padding: 0.35em 0.6em; }}
    QLineEdit:focus {{ border: 2px solid {p.accent}; }}
    QCheckBox {{ spacing: 0.6em; padding: 0.2em; border: 2px solid transparent; border-radius: 6px; }}
    QCheckBox:focus {{ border: 2px solid {p.accent}; }}
    QCheckBox::indicator {{ width: {points * 1.4:.0f}px; height: {points * 1.4:.0f}px; border: 2px solid {p.control};
                   border-radius: 4px; background: {p.surface}; }}
    QCheckBox::indicator:checked {{ border: 2px solid {p.accent};
                   background: qradialgradient(cx:0.5, cy:0.5, radius:0.5, fx:0.5, fy:0.5,
                   stop:0 {p.accent}, stop:0.68 {p.accent}, stop:0.7 {p.surface}, stop:1 {p.surface}); }}
    QTableView {{ background: {p.surface}; color: {p.text}; border: 1px solid {p.line}; border-radius: 8px;
                   gridline-color: {p.line}; selection-background-color: {p.accent}; selection-color: {p.on_accent}; }}
    QTableView:focus {{ border: 2px solid {p.accent}; }}
    QHeaderView::section {{ background: {p.raised}; color: {p.text}; border: 0; padding: 0.4em; font-weight: 600; }}
    """
