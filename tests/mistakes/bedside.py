"""Mistakes at the bedside: values, patients, files of readings, the queue."""

from __future__ import annotations

import fcntl
import json
import shutil
from contextlib import closing

from hfzmq.client.queue import Queue
from tests.mistakes.bench import Bench, Made
from tests.mistakes.chapter import Chapter
from tests.mistakes.serving import own_disk, small_disk

CHAPTER = Chapter("hfzmq client and hfzmq stream")
mistake = CHAPTER.mistake

HEAD = "patient_id,age,serum_sodium,serum_creatinine,ejection_fraction,day"
GOOD = {
    "patient_id": "P-001", "age": 70, "serum_sodium": 137, "serum_creatinine": 1.2, "ejection_fraction": 35, "day": 5,
}  # fmt: skip
CSV = ("client", "--headless", "--queue", "queue", "--source", "hf.csv")
LINES = ("client", "--headless", "--queue", "queue", "--source", "-")


def reading(**other: object) -> str:
    """A line of JSON with something else in it."""
    return json.dumps({**GOOD, "timestamp": 1_795_300_000_000, **other}) + "\n"


def csv(at: Bench, *lines: str, head: str = HEAD) -> Made:
    at.write("hf.csv", "\n".join((head, *lines)) + "\n")
    return at.hfzmq(*CSV)


@mistake("an age out of bounds", 6, "hf.csv:2", "age", "18 to 120", "700")
def age(at: Bench) -> Made:
    return csv(at, "P-001,700,137,1.2,35,5")


@mistake("sodium in the wrong column", 6, "hf.csv:2", "serum_sodium", "1.2")
def sodium(at: Bench) -> Made:
    return csv(at, "P-001,70,1.2,137,35,5")


@mistake("creatinine in µmol/L", 6, "hf.csv:2", "serum_creatinine", "106")
def creatinine(at: Bench) -> Made:
    return csv(at, "P-001,70,137,106,35,5")


@mistake("an ejection fraction as a share", 6, "hf.csv:2", "ejection_fraction", "0.35")
def fraction(at: Bench) -> Made:
    return csv(at, "P-001,70,137,1.2,0.35,5")


@mistake("a day before the first", 6, "hf.csv:2", "day", "-1")
def day(at: Bench) -> Made:
    return csv(at, "P-001,70,137,1.2,35,-1")


@mistake("not a number", 6, "hf.csv:2", "serum_sodium", "nan")
def nan(at: Bench) -> Made:
    return csv(at, "P-001,70,nan,1.2,35,5")


@mistake("a comma as the decimal sign", 6, "hf.csv:2")
def comma(at: Bench) -> Made:
    return csv(at, "P-001,70,137,1,2,35,5")


@mistake("no value at all", 6, "hf.csv:2", "age")
def nothing(at: Bench) -> Made:
    return csv(at, "P-001,,,,,5")


@mistake("a patient without an id", 6, "hf.csv:2", "patient_id", "1 to 64")
def patient(at: Bench) -> Made:
    return csv(at, ",70,137,1.2,35,5")


@mistake("a column that is missing", 6, "hf.csv:1", "ejection_fraction")
def column(at: Bench) -> Made:
    return csv(at, "P-001,70,137,1.2,5", head="patient_id,age,serum_sodium,serum_creatinine,day")


@mistake("a spreadsheet instead of a CSV", 6, "hf.csv")
def spreadsheet(at: Bench) -> Made:
    (at.folder / "hf.csv").write_bytes(b"PK\x03\x04\xff\xfe\x00" + bytes(range(200, 256)) * 20)
    return at.hfzmq(*CSV)


@mistake("a file that is not there", 5, "hf.csv")
def no_file(at: Bench) -> Made:
    return at.hfzmq(*CSV)


@mistake("a line on stdin that is no JSON", 6, "stdin:1")
def no_json(at: Bench) -> Made:
    return at.process(*LINES, stdin="P-001,70,137,1.2,35,5\n")


@mistake("a field on stdin that nobody knows", 6, "stdin:1", "sodium")
def unknown_field(at: Bench) -> Made:
    return at.process(*LINES, stdin=reading(sodium=137))


@mistake("a number on stdin in quotation marks", 6, "stdin:1", "age")
def quoted(at: Bench) -> Made:
    return at.process(*LINES, stdin=reading(age="70"))


@mistake("a time on stdin in seconds", 6, "stdin:1", "timestamp")
def seconds(at: Bench) -> Made:
    return at.process(*LINES, stdin=reading(timestamp=1_795_300_000))


@mistake("a patient on the command line that is no id", 6, "--patient", "1 to 64", "got ' '")
def patient_option(at: Bench) -> Made:
    return at.hfzmq("client", "--headless", "--patient", " ", "--duration", 1)


@mistake("two sources at once", 2, "--patients", "--source simulate")
def two_sources(at: Bench) -> Made:
    return at.hfzmq(*CSV, "--patients", 3)


@mistake("the queue of another client that runs", 1, "queue")
def queue_in_use(at: Bench) -> Made:
    (at.folder / "queue").mkdir()
    with (at.folder / "queue" / "queue.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return at.process("client", "--headless", "--count", 1, "--queue", "queue")


@mistake("the queue of another mesh", 1, "queue", "MESH_ID")
def queue_of_another(at: Bench) -> Made:
    at.hfzmq("client", "--headless", "--duration", "0.1", "--queue", "queue")
    at.edit("id: [0-9a-f]{32}", "id: " + "ab" * 16)
    return at.hfzmq("client", "--headless", "--duration", "0.1", "--queue", "queue")


@mistake("another client's name for a queue", 1, "queue", "bed-7", "bed-8")
def queue_name(at: Bench) -> Made:
    at.hfzmq("client", "--headless", "--duration", "0.1", "--queue", "queue", "--client-id", "bed-7")
    return at.hfzmq("client", "--headless", "--duration", "0.1", "--queue", "queue", "--client-id", "bed-8")


@mistake("a disk without room for the queue", 1, "data/q/queue.db", "no space left", skip=own_disk)
def queue_without_room(at: Bench) -> Made:
    (at.folder / "data").mkdir()
    words = ("client", "--headless", "--duration", "0.1", "--queue", "data/q")
    return at.process(*words, within=small_disk("48k"))


@mistake("the queue moved away while its client runs", 1, "queue/queue.db", "moved")
def queue_moved(at: Bench) -> Made:
    move = '"$@" & until [ -e queue/queue.mark ]; do :; done; mv queue elsewhere; wait $!'
    words = ("client", "--headless", "--interval", "0.1", "--queue", "queue")
    return at.process(*words, within=("sh", "-c", move, "sh"))


@mistake("a queue whose queue.db is gone", 1, "queue", "queue.db is gone")
def queue_without_database(at: Bench) -> Made:
    at.hfzmq("client", "--headless", "--duration", "0.1", "--queue", "queue")
    (at.folder / "queue" / "queue.db").unlink()
    return at.hfzmq("client", "--headless", "--duration", "0.1", "--queue", "queue")


@mistake("an older queue.db put back beside the mark of a newer one", 1, "queue", "the last row put into it is gone")
def queue_went_back(at: Bench) -> Made:
    for life in range(2):
        with closing(Queue.open(at.folder / "queue", "bed-7", at.config.mesh_id)) as queue:
            queue.put([["P-001", life]])
        if life == 0:
            shutil.copy(at.folder / "queue" / "queue.db", at.folder / "older.db")
    shutil.copy(at.folder / "older.db", at.folder / "queue" / "queue.db")
    return at.hfzmq("client", "--headless", "--duration", "0.1", "--queue", "queue")


@mistake("a queue of reports for heart rates", 1, "queue", "readings")
def queue_traffic(at: Bench) -> Made:
    at.hfzmq("client", "--headless", "--duration", "0.1", "--queue", "queue")
    return at.hfzmq("stream", "--headless", "--duration", "0.1", "--queue", "queue")


@mistake("a file where the queue belongs", 2, "--queue", "'queue' is a file")
def queue_file(at: Bench) -> Made:
    at.write("queue", "")
    return at.hfzmq("client", "--headless", "--duration", "0.1", "--queue", "queue")


@mistake("nobody answers until the time is over", 8, "1 report is not acknowledged", "queue")
def no_mesh(at: Bench) -> Made:
    at.write("hf.csv", f"{HEAD}\nP-001,70,137,1.2,35,5\nP-002,82,126,2.4,20,5\n")
    return at.hfzmq(*CSV, "--duration", "0.5")


@mistake("more readings a request than the mesh takes", 6, "--batch", "5000")
def batch(at: Bench) -> Made:
    return at.hfzmq("stream", "--headless", "--batch", 5000, "--duration", 1)


@mistake("a recording without times", 6, "beats.csv:1", "timestamp")
def recording(at: Bench) -> Made:
    at.write("beats.csv", "patient_id,value\nP-001,72\n")
    return at.hfzmq("stream", "--headless", "--source", "beats.csv", "--queue", "queue")


@mistake("a share of invalid readings as a percentage", 2, "--invalid", "20")
def share(at: Bench) -> Made:
    return at.hfzmq("stream", "--headless", "--invalid", 20)
