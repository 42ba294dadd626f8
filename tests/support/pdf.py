"""Small PDF files for the tests."""

from __future__ import annotations

import io
from collections.abc import Sequence

from pypdf import PdfWriter
from pypdf.generic import DictionaryObject, NameObject, StreamObject


def pdf(
    pages: Sequence[Sequence[str]], title: str = "", outline: Sequence[tuple[str, int]] = (), locked_with: str = ""
) -> bytes:
    """A PDF with these lines of text, and an outline of titles with their pages, counted from 0."""
    writer = PdfWriter()
    font = DictionaryObject({NameObject("/Type"): NameObject("/Font"), NameObject("/Subtype"): NameObject("/Type1")})
    font[NameObject("/BaseFont")] = NameObject("/Helvetica")
    fonts = DictionaryObject({NameObject("/F1"): font})
    for lines in pages:
        page = writer.add_blank_page(width=595, height=842)
        drawn = " ".join(f"({line}) Tj T*" for line in lines)
        stream = StreamObject()
        stream.set_data(f"BT /F1 12 Tf 50 780 Td 14 TL {drawn} ET".encode())
        page[NameObject("/Contents")] = stream
        page[NameObject("/Resources")] = DictionaryObject({NameObject("/Font"): fonts})
    for name, number in outline:
        writer.add_outline_item(title=name, page_number=number)
    if title:
        writer.add_metadata({"/Title": title})
    if locked_with:
        writer.encrypt(locked_with, algorithm="RC4-128")
    buffer = io.BytesIO()
    writer.write(buffer)
    return buffer.getvalue()
