"""The tables of a corpus.

`texts` holds everything that is embedded, of three kinds: the names of a document, the question that a section of it
answers, and its passages. `vector` is 384 numbers in half precision, or NULL until it has been computed. The words of
the passages stand in the full-text index too, under the same number.
"""

VERSION = 1
"""Counts up with the tables, and with the encoder that the vectors are from."""

NAME, QUESTION, PASSAGE = range(3)
"""Values of `kind`."""

SCHEMA = f"""
BEGIN IMMEDIATE;
CREATE TABLE IF NOT EXISTS files (
    id INTEGER PRIMARY KEY AUTOINCREMENT, path TEXT NOT NULL UNIQUE, shown TEXT NOT NULL, sha256 TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS documents (
    id INTEGER PRIMARY KEY AUTOINCREMENT, file INTEGER NOT NULL REFERENCES files ON DELETE CASCADE, title TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS documents_file ON documents (file);
CREATE TABLE IF NOT EXISTS texts (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    document INTEGER NOT NULL REFERENCES documents ON DELETE CASCADE,
    kind INTEGER NOT NULL,
    text TEXT NOT NULL,
    section TEXT NOT NULL DEFAULT '',
    place TEXT NOT NULL DEFAULT '',
    page INTEGER,
    vector BLOB
);
CREATE INDEX IF NOT EXISTS texts_document ON texts (document);
CREATE INDEX IF NOT EXISTS texts_pending ON texts (kind, id) WHERE vector IS NULL;
CREATE TABLE IF NOT EXISTS vocabulary (word TEXT PRIMARY KEY, sound TEXT NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS vocabulary_sound ON vocabulary (sound);
CREATE VIRTUAL TABLE IF NOT EXISTS words USING fts5(names, section, body, tokenize = 'porter unicode61');
CREATE TRIGGER IF NOT EXISTS text_gone AFTER DELETE ON texts WHEN old.kind = {PASSAGE}
    BEGIN DELETE FROM words WHERE rowid = old.id; END;
PRAGMA user_version = {VERSION};
COMMIT;
"""  # noqa: S608 - only our own numbers go in
