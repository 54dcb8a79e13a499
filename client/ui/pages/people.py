"""People are added, renamed, deleted and put back; and so is what was deleted of them."""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QDialog

from client.language import said
from client.parts import Kept
from client.store.observations import Deleted, Observations
from client.ui.pages.deleted import DeletedDialog, DeletedDocument
from client.ui.pages.dialogs import DeletePersonDialog, NameDialog
from client.ui.pages.job import Job
from client.ui.shelf import Open


class People(Job):
    """chosen(str | None): results are this person's from now on. kept_changed: what is kept of somebody is other than before."""

    chosen = Signal(object)
    kept_changed = Signal()

    def add(self) -> None:
        """Somebody new, chosen at once."""
        dialog = NameDialog(self.window)
        if dialog.exec() != QDialog.DialogCode.Accepted:
            return
        name, number, now = dialog.name.text(), dialog.record_number, self.clock.utc()
        self.shelf.change_people(
            lambda kept: kept.add_person(name, now=now, record_number=number).id,
            self.chosen.emit,
            self.tell_fault,
        )

    def rename(self, person: str | None) -> None:
        """Another name or record number, for what was misspelt."""
        if person is None:
            self.notice.tell(said("Choose a person at the top first; a guest has no name."))
            return
        state = self.shelf.state
        people = state.people if isinstance(state, Open) else ()
        before = next((one.record_number or "" for one in people if one.id == person), "")
        dialog = NameDialog(self.window, self.name_of(person), before)
        if dialog.exec() != QDialog.DialogCode.Accepted:
            return
        name, number = dialog.name.text(), dialog.record_number

        def rename(kept: Observations) -> None:
            if (number or "") != before:
                kept.set_record_number(person, number)
            kept.rename_person(person, name)

        self.shelf.change_people(rename, lambda _: None, self.tell_fault)

    def remove(self, person: str | None) -> None:
        """Somebody with all that is kept of them, to be put back for a while."""
        name = self.name_of(person)
        if person is None:
            self.notice.tell(said("Choose a person at the top first; a guest can't be deleted."))
            return
        state = self.shelf.state
        if not isinstance(state, Open):
            return
        dialog = DeletePersonDialog(
            self.window, name, state.policy.keep_deleted_days, may_be_sent=bool(state.server)
        )
        dialog.exec()
        if dialog.choice == "forever":
            self._forget(person, name, may_be_sent=bool(state.server))
        elif dialog.choice:
            self._delete(person, name)

    def _delete(self, person: str, name: str) -> None:
        def gone(_: None) -> None:
            self.chosen.emit(None)
            self.notice.tell(
                said("{name} was deleted.", name=name), said("Undo"), lambda: self._bring_back(person)
            )

        self.shelf.change_people(
            lambda kept: kept.delete_person(person, now=self.clock.utc()), gone, self.tell_fault
        )

    def _forget(self, person: str, name: str, *, may_be_sent: bool) -> None:
        words = said(
            "Delete {name} and all that is kept of them for ever? Nobody can put this back, and backups on this device lose it too.",
            name=name,
        )
        if may_be_sent:
            words += " " + said(
                "What was sent of them is erased in the clinic's cloud as soon as it can be reached."
            )
        if not self.confirmed(said("Delete for ever"), words, said("Delete {name} for ever", name=name)):
            return

        def gone(_: None) -> None:
            self.chosen.emit(None)
            self.notice.tell(said("{name} was deleted for ever.", name=name))

        self.shelf.change(
            lambda kept: kept.forgetting.forget_person(person, self.clock.utc()), gone, self.tell_fault
        )

    def show_deleted(self) -> None:
        """All that can still be put back, to choose from."""
        now = self.clock.utc()

        def look(kept: Kept) -> tuple[list[Deleted | DeletedDocument], int]:
            days = kept.policy.keep_deleted_days
            people = {one.id: one for one in kept.observations.people()}
            found: list[Deleted | DeletedDocument] = [*kept.observations.deleted(now=now)]
            for at, document in kept.documents.deleted(now, days):
                found.append(DeletedDocument(at, people.get(document.person or ""), document))
            return sorted(found, key=lambda one: one.deleted_at, reverse=True), days

        self.shelf.ask_kept(look, self._choose_deleted, self.tell_fault)

    def _choose_deleted(self, looked: tuple[list[Deleted | DeletedDocument], int]) -> None:
        dialog = DeletedDialog(self.window, *looked)
        if dialog.exec() != QDialog.DialogCode.Accepted or dialog.chosen is None:
            return
        one = dialog.chosen
        if isinstance(one, DeletedDocument):
            document = one.document.id
            self.shelf.change(lambda kept: kept.documents.restore(document), self._back, self.tell_fault)
        elif one.line is not None:
            self.put_back(one.line.id)
        elif one.person is not None:
            self._bring_back(one.person.id)

    def put_back(self, line_id: str) -> None:
        """One thing that was deleted."""
        self.shelf.change_people(lambda kept: kept.restore(line_id), self._back, self.tell_fault)

    def _back(self, done: bool) -> None:  # noqa: FBT001 (an answer)
        self.kept_changed.emit()
        if not done:
            self.notice.tell(said("This can't be put back: its person is deleted, or it was too long ago."))

    def _bring_back(self, person: str) -> None:
        def bring(kept: Observations) -> None:
            kept.restore_person(person)

        self.shelf.change_people(bring, lambda _: self.kept_changed.emit(), self.tell_fault)
