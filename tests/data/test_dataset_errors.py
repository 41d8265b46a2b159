"""Reading a dataset folder: what is not accepted gets one clear line."""

import pytest

from selfml.data.dataset import read_dataset, scan_dataset
from tests.data.cases import fails, write

# What is not


def test_no_such_folder_or_file(tmp_path, folder):
    fails(tmp_path / "nowhere", "nowhere", "no such folder", "Give the folder")
    fails(tmp_path / ("x" * 400), "no such folder")
    fails(folder / "labels.csv", "not a folder")
    (folder / "clean.csv").unlink()
    fails(folder, "no clean.csv", "Verify some images")
    (folder / "labels.csv").unlink()
    fails(folder, "no labels.csv (or metadata.csv)", "Add one")


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("", ("labels.csv: the file is empty", "Write it again")),
        ("\n\n", ("labels.csv: the file is empty",)),
        ("file_name,a0\n", ("labels.csv: no usable row", "Add one row")),
        ("file_name\n0.png\n", ("labels.csv, row 1", "no attribute column")),
        ("name,a0\n0.png,1\n", ("labels.csv, row 1", "'file_name'", "'name', 'a0'", "Rename")),
        ("file_name;a0\n0.png;1\n", ("labels.csv, row 1", "semicolons", "commas")),
        ("file_name\ta0\n0.png\t1\n", ("labels.csv, row 1", "tabs", "commas")),
        (",file_name,a0\n0,0.png,1\n", ("row 1", "column 1 has no name", "index=False")),
        ("file_name,a0, a0\n0.png,1,1\n", ("row 1", "'a0' appears twice", "Rename or remove")),
        ('file_name,"a\n0"\n0.png,1\n', ("row 1", "'a\\n0'", "line break", "Rename")),
        ("file_name,split,a0\n0.png,train,1\n", ("row 1", "'split' belongs in clean.csv")),
        ("file_name,a0,a1\n0.png,1\n", ("labels.csv, row 2", "2 cells under 3 columns")),
        ("file_name,a0,a1\n0.png,1,2\n", ("row 2, column 'a1'", "'2'", "0, 1 or blank")),
        ("file_name,a0,a1\n0.png,1,true\n", ("row 2, column 'a1'", "'true'")),
        ("file_name,a0,a1\n0.png,1,-1\n", ("row 2, column 'a1'", "'-1'")),
        ('file_name,a0\n0.png,1\n1.png,"1\n', ("labels.csv, row 3", "not valid CSV", "quotes")),
        ("file_name,a0\n ,1\n", ("row 2", "is blank", "Fill it in")),
        ("file_name,a0\n../0.png,1\n", ("row 2", "'../0.png'", "leaves the dataset folder")),
        ("file_name,a0\na/../../0.png,1\n", ("row 2", "leaves the dataset folder")),
        ("file_name,a0\n..\\0.png,1\n", ("row 2", "leaves the dataset folder")),
        ("file_name,a0\n/etc/passwd,1\n", ("row 2", "'/etc/passwd'", "absolute path")),
        ("file_name,a0\nC:\\a\\0.png,1\n", ("row 2", "absolute path", "Shorten")),
        ("file_name,a0\na\x00b.png,1\n", ("row 2", "control character")),
    ],
)
def test_bad_labels_file(folder, text, parts):
    write(folder, "labels.csv", text)
    fails(folder, *parts)


def test_not_utf8(folder):
    (folder / "labels.csv").write_bytes(b"file_name,a0\n0.png,1\ncaf\xe9.png,1\n")
    fails(folder, "labels.csv, row 3", "not UTF-8 (byte 0xe9)", "CSV UTF-8")
    (folder / "labels.csv").write_bytes("file_name,a0\n".encode("utf-16"))
    fails(folder, "labels.csv, row 1", "not UTF-8")


def test_rows_count_as_in_a_spreadsheet(folder):
    """A blank line counts; a line break inside a quoted cell does not."""
    write(folder, "labels.csv", 'file_name,category,a0\n\n0.png,"two\nlines",1\n1.png,,7\n')
    fails(folder, "labels.csv, row 4, column 'a0'", "'7'")


def test_an_image_listed_twice(folder):
    write(folder, "labels.csv", "file_name,a0,a1\n0.png,1,0\n1.png,0,1\n0.png,1,1\n")
    fails(folder, "labels.csv, row 4", "'0.png'", "row 2 already", "'a1'", "Remove the wrong")
    write(folder, "labels.csv", "file_name,category,a0,a1\n0.png,x,1,1\n0.png,y,1,1\n")
    fails(folder, "labels.csv, row 3", "another column")


def test_clean_rows_that_break_the_rules(folder):
    write(folder, "clean.csv", "file_name,split,a0,a1\n000.png,val,1,0\n")
    fails(folder, "clean.csv, row 2, column 'split'", "'val'", "train, test or blank")
    write(folder, "clean.csv", "file_name,split,a0,a1\n000.png,train,1,0\n000.png,test,1,0\n")
    fails(folder, "clean.csv, row 3", "'000.png'", "row 2 already")
    write(folder, "clean.csv", "file_name,a0,a1\n")
    fails(folder, "clean.csv: none of its 0 rows", "Add verified rows")
    write(folder, "clean.csv", "file_name,a0,a1\nimages/000.png,1,0\n")
    fails(folder, "clean.csv: none of its 1 rows names an image of labels.csv", "'000.png'")
    write(folder, "clean.csv", "file_name,b0\n000.png,1\n")
    fails(folder, "clean.csv, row 1", "no attribute of the labels file", "'a0'")
    write(folder, "clean.csv", "file_name,a0,a1\n000.png,1,yes\n")
    fails(folder, "clean.csv, row 2, column 'a1'", "'yes'")


def test_an_attribute_never_positive(folder):
    write(folder, "labels.csv", "file_name,a0,a1\n000.png,1,0\n001.png,0,\n")
    write(folder, "clean.csv", "file_name,a0,a1\n000.png,1,0\n")
    fails(folder, "labels.csv, column 'a1'", "never 1", "Remove the column or verify")
    write(folder, "clean.csv", "file_name,a0,a1\n000.png,1,1\n")
    assert read_dataset(folder).n_attributes == 2


def test_all_errors_are_listed_and_counted(folder):
    rows = "".join(f"{i}.png,x,1\n" for i in range(30))
    write(folder, "labels.csv", "file_name,a0,a1\n000.png,1,1\n" + rows)
    scan = scan_dataset(folder)
    assert scan.n_errors == 30
    assert len(scan.errors) == 20
    assert "row 3, column 'a0'" in scan.errors[0]
    fails(folder, "row 3, column 'a0'", "(29 more: run `selfml check` to list them.)")


def test_long_values_are_cut_in_messages(folder):
    write(folder, "labels.csv", f"file_name,a0\n0.png,{'9' * 5000}\n")
    assert len(fails(folder, "row 2, column 'a0'", "...")) < 300
