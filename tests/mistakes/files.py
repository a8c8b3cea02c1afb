"""Mistakes with files: backups, restoring, databases that are read, the model, scenarios, units."""

from __future__ import annotations

from contextlib import closing

from hfzmq.storage import Store
from tests.integration.storage_world import Tape, founded, report
from tests.mistakes.bench import Bench, Made, rights_stay, without_rights
from tests.mistakes.chapter import Chapter

CHAPTER = Chapter("Backup, restore, and other files")
mistake = CHAPTER.mistake
BACK_UP = ("backup", "--db", "data/hfzmq_1.db", "--to", "ward.hfzmq")
RESTORE = ("restore", "ward.hfzmq", "--config", "new.yaml", "--id", 1, "--data-dir", "restored")
JUDGE = ("model", "predict")


def backed_up(at: Bench) -> None:
    """ward.hfzmq, a backup of a peer; new.yaml, the file of a new mesh with the same keys."""
    tape = Tape()
    tape.config(founded(1))
    tape.batch([report(number) for number in range(1, 40)])
    with closing(Store.open(at.folder / "data", 1, at.config)) as store:
        store.write([tape.persist(*tape.log), tape.apply()])
    made = at.hfzmq(*BACK_UP)
    assert made.said.code == 0, made
    text = at.file.read_text()
    old = at.config.mesh_id.hex()
    at.write("new.yaml", text.replace(old, "ab" * 16))


@mistake("a backup of what is no peer's file", 6, "--db", "peers.yaml")
def no_database(at: Bench) -> Made:
    return at.hfzmq("backup", "--db", "peers.yaml", "--to", "ward.hfzmq")


@mistake("a backup of a file that is not there", 5, "data/hfzmq_1.db")
def no_such_database(at: Bench) -> Made:
    return at.hfzmq(*BACK_UP)


@mistake("a backup by a user who may not look into the data directory", 1, "data/hfzmq_1.db", skip=rights_stay)
def closed_directory(at: Bench) -> Made:
    data = at.store(1).parent
    data.chmod(0)
    try:
        return at.process(*BACK_UP, within=without_rights())
    finally:
        data.chmod(0o700)


@mistake("a backup over an older one", 6, "--to", "ward.hfzmq")
def over_another(at: Bench) -> Made:
    at.store(1)
    at.write("ward.hfzmq", "")
    return at.hfzmq(*BACK_UP)


@mistake("a backup into a folder that is not there", 1, "elsewhere/ward.hfzmq")
def no_folder(at: Bench) -> Made:
    at.store(1)
    return at.hfzmq("backup", "--db", "data/hfzmq_1.db", "--to", "elsewhere/ward.hfzmq")


@mistake("a backup of a backup", 6, "--db", "ward.hfzmq")
def backup_of_backup(at: Bench) -> Made:
    backed_up(at)
    return at.hfzmq("backup", "--db", "ward.hfzmq", "--to", "again.hfzmq")


@mistake("a peer's own file taken for a backup", 6, "data/hfzmq_1.db")
def no_backup(at: Bench) -> Made:
    at.store(1)
    return at.hfzmq("backup", "verify", "data/hfzmq_1.db")


@mistake("a directory taken for a backup", 6, "data", "file")
def directory_no_backup(at: Bench) -> Made:
    at.store(1)
    return at.hfzmq("backup", "verify", "data")


@mistake("two files for one backup", 2, "monday.hfzmq", "tuesday.hfzmq")
def two_files(at: Bench) -> Made:
    return at.hfzmq("backup", "monday.hfzmq", "tuesday.hfzmq")


@mistake("a backup that was damaged on its way", 1, "ward.hfzmq", "damaged")
def damaged(at: Bench) -> Made:
    backed_up(at)
    path = at.folder / "ward.hfzmq"
    path.write_bytes(path.read_bytes().replace(b"late", b"fate"))  # a flag of each report
    return at.hfzmq("backup", "verify", "ward.hfzmq")


@mistake("a backup that was cut off on its way", 1, "ward.hfzmq")
def cut_off(at: Bench) -> Made:
    backed_up(at)
    path = at.folder / "ward.hfzmq"
    path.write_bytes(path.read_bytes()[:20_000])
    return at.hfzmq("backup", "verify", "ward.hfzmq")


@mistake("a backup restored with the old peers.yaml", 6, "mesh.id")
def same_mesh(at: Bench) -> Made:
    backed_up(at)
    return at.hfzmq(*RESTORE[:3], "peers.yaml", *RESTORE[4:])


@mistake("a backup restored into a directory that is not empty", 6, "--data-dir", "data")
def not_empty(at: Bench) -> Made:
    backed_up(at)
    return at.hfzmq(*RESTORE[:-1], "data")


@mistake("a backup restored for a peer that the new file does not list", 6, "new.yaml", "7")
def restored_id(at: Bench) -> Made:
    backed_up(at)
    return at.hfzmq(*RESTORE[:5], 7, *RESTORE[6:])


@mistake("a backup that is not there", 5, "ward.hfzmq")
def no_file(at: Bench) -> Made:
    return at.hfzmq("restore", "ward.hfzmq", "--id", 1, "--data-dir", "restored")


@mistake("reports of a database that is not there", 5, "data/hfzmq_1.db")
def reports_of_nothing(at: Bench) -> Made:
    return at.hfzmq("reports", "--db", "data/hfzmq_1.db")


@mistake("reports of a file that is no database", 6, "peers.yaml")
def reports_of_text(at: Bench) -> Made:
    return at.hfzmq("reports", "--db", "peers.yaml")


@mistake("reports of a peer's directory", 6, "data")
def reports_of_directory(at: Bench) -> Made:
    at.store(1)
    return at.hfzmq("reports", "--db", "data")


@mistake("a database that was not copied whole", 1, "data/hfzmq_1.db")
def half_copied(at: Bench) -> Made:
    path = at.store(1)
    path.write_bytes(path.read_bytes()[:8192])
    return at.hfzmq("reports", "--db", "data/hfzmq_1.db")


@mistake("a queue that is none", 5, "data")
def no_queue(at: Bench) -> Made:
    at.store(1)
    return at.hfzmq("queue", "show", "data")


@mistake("a queue moved from a mesh whose id is none", 6, "--from", "ward")
def queue_from(at: Bench) -> Made:
    return at.hfzmq("queue", "move", "queue", "--from", "ward")


@mistake("a patient's age out of bounds", 6, "age", "18 to 120", "7")
def predict_age(at: Bench) -> Made:
    return at.hfzmq(*JUDGE, "--age", 7, "--sodium", 130, "--creatinine", 1.9, "--ef", 20, "--day", 4)


@mistake("a file to judge that is not there", 5, "patients.csv")
def predict_no_file(at: Bench) -> Made:
    return at.hfzmq(*JUDGE, "patients.csv")


@mistake("a file to judge with a bad line", 6, "patients.csv:3", "serum_sodium", "1.2")
def predict_bad_line(at: Bench) -> Made:
    head = "patient_id,age,serum_sodium,serum_creatinine,ejection_fraction,day"
    at.write("patients.csv", f"{head}\nP-001,70,137,1.2,35,5\nP-002,70,1.2,137,35,5\n")
    return at.hfzmq(*JUDGE, "patients.csv")


@mistake("a model that is another kind of file", 6, "peers.yaml")
def predict_model(at: Bench) -> Made:
    return at.hfzmq(*JUDGE, "--age", 70, "--sodium", 130, "--model", "peers.yaml")


@mistake("a scenario of a name that there is not", 2, "leader-failur", "leader-failure,")
def scenario(at: Bench) -> Made:
    return at.hfzmq("scenario", "run", "leader-failur")


@mistake("a scenario into a directory that is not empty", 6, "--out", "keys")
def scenario_out(at: Bench) -> Made:
    return at.hfzmq("scenario", "run", "leader-failure", "--out", "keys")


@mistake("units for a program that is not there", 1, "/opt/hfzmq/bin/hfzmq")
def units(at: Bench) -> Made:
    return at.hfzmq("units", "install", "--prefix", "root", "--exec", "/opt/hfzmq/bin/hfzmq")


@mistake("units over ones that were changed by hand", 1, "hfzmq@.service", "differs")
def units_changed(at: Bench) -> Made:
    program = "/bin/sh"  # is everywhere, and below no directory that the unit hides
    at.hfzmq("units", "install", "--prefix", "root", "--exec", program)
    service = at.folder / "root" / "etc" / "systemd" / "system" / "hfzmq@.service"
    service.write_text(service.read_text() + "# mine\n")
    return at.hfzmq("units", "install", "--prefix", "root", "--exec", program)


@mistake("a demo with no room for a leader", 2, "--peers")
def demo(at: Bench) -> Made:
    return at.hfzmq("demo", "--peers", 0)


@mistake("the doctor, sent to a directory that is not there", 1, "directory", "nowhere", on_stdout=True)
def doctor(at: Bench) -> Made:
    made = at.hfzmq("doctor", "--config", "peers.yaml", "--data-dir", "nowhere")
    return finding(made, "directory")


def finding(made: Made, check: str) -> Made:
    """Of all that the doctor says, the finding of this check."""
    lines = made.said.out.splitlines()
    first = next(number for number, line in enumerate(lines) if f" {check}: " in line and not line.startswith("●"))
    return made._replace(said=made.said._replace(out="\n".join(lines[first : first + 3]) + "\n"))


@mistake("the doctor with a file that is none", 6, "nowhere.yaml")
def doctor_config(at: Bench) -> Made:
    return at.hfzmq("doctor", "--config", "nowhere.yaml")


@mistake("the check with a file that is none", 3, "UNKNOWN", "nowhere.yaml", on_stdout=True)
def check_config(at: Bench) -> Made:
    return at.hfzmq("check", "--config", "nowhere.yaml")


@mistake("the check with an option of another's", 3, "UNKNOWN", "--warning", on_stdout=True)
def check_option(at: Bench) -> Made:
    return at.hfzmq("check", "--warning", 5)
