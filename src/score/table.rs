//! A table of named columns, and its two forms as a file: CSV and Parquet.

use std::path::Path;

use polars::prelude::*;

use super::error::ScoreError;
use super::streams::write_frame;

/// Cells of one column; none is an empty cell.
#[derive(Clone, Debug, PartialEq)]
pub enum Cells {
    Text(Vec<Option<String>>),
    Number(Vec<Option<f64>>),
    Count(Vec<Option<u64>>),
    Flag(Vec<Option<bool>>),
}

/// Columns of the same length.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Table {
    columns: Vec<(&'static str, Cells)>,
}

impl Table {
    /// Appends a column of texts, one for each of `rows`; the other kinds likewise.
    pub fn text<Row>(
        mut self,
        name: &'static str,
        rows: &[Row],
        cell: impl Fn(&Row) -> Option<String>,
    ) -> Self {
        self.columns
            .push((name, Cells::Text(rows.iter().map(cell).collect())));
        self
    }

    pub fn number<Row>(
        mut self,
        name: &'static str,
        rows: &[Row],
        cell: impl Fn(&Row) -> Option<f64>,
    ) -> Self {
        self.columns
            .push((name, Cells::Number(rows.iter().map(cell).collect())));
        self
    }

    pub fn count<Row>(
        mut self,
        name: &'static str,
        rows: &[Row],
        cell: impl Fn(&Row) -> Option<u64>,
    ) -> Self {
        self.columns
            .push((name, Cells::Count(rows.iter().map(cell).collect())));
        self
    }

    pub fn flag<Row>(
        mut self,
        name: &'static str,
        rows: &[Row],
        cell: impl Fn(&Row) -> Option<bool>,
    ) -> Self {
        self.columns
            .push((name, Cells::Flag(rows.iter().map(cell).collect())));
        self
    }

    fn height(&self) -> usize {
        self.columns.first().map_or(0, |(_, cells)| match cells {
            Cells::Text(cells) => cells.len(),
            Cells::Number(cells) => cells.len(),
            Cells::Count(cells) => cells.len(),
            Cells::Flag(cells) => cells.len(),
        })
    }

    /// The table as CSV (RFC 4180, header first, `\n` line ends). Numbers have the fewest digits that give the same f64.
    ///
    /// # Errors
    /// None that a table in memory can cause; [`ScoreError::Io`] all the same.
    pub fn csv(&self) -> Result<Vec<u8>, ScoreError> {
        let fault = |error: csv::Error| ScoreError::Io {
            action: "write",
            path: "a CSV table".into(),
            source: std::io::Error::other(error),
        };
        let mut writer = csv::Writer::from_writer(Vec::new());
        let names = self.columns.iter().map(|(name, _)| name);
        writer.write_record(names).map_err(fault)?;
        for row in 0..self.height() {
            let record = self.columns.iter().map(|(_, cells)| cells.shown(row));
            writer.write_record(record).map_err(fault)?;
        }
        writer.into_inner().map_err(|error| ScoreError::Io {
            action: "write",
            path: "a CSV table".into(),
            source: error.into_error(),
        })
    }

    /// Writes the table as Parquet, whole or not at all. The same table is always the same bytes.
    ///
    /// # Errors
    /// [`ScoreError::Io`] and [`ScoreError::BadStream`] when the file cannot be written.
    pub fn write_parquet(&self, path: &Path) -> Result<(), ScoreError> {
        let columns = self
            .columns
            .iter()
            .map(|(name, cells)| {
                let name = (*name).into();
                match cells {
                    Cells::Text(cells) => Column::new(name, cells),
                    Cells::Number(cells) => Column::new(name, cells),
                    Cells::Count(cells) => Column::new(name, cells),
                    Cells::Flag(cells) => Column::new(name, cells),
                }
            })
            .collect();
        write_frame(path, self.height(), columns)
    }
}

impl Cells {
    fn shown(&self, row: usize) -> String {
        fn cell<T: ToString>(cells: &[Option<T>], row: usize) -> String {
            let cell = cells.get(row).and_then(Option::as_ref);
            cell.map_or_else(String::new, T::to_string)
        }
        match self {
            Self::Text(cells) => cell(cells, row),
            Self::Number(cells) => cell(cells, row),
            Self::Count(cells) => cell(cells, row),
            Self::Flag(cells) => cell(cells, row),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let rows = [Some(0.1 + 0.2), None];
        Table::default()
            .text("name", &rows, |row| row.map(|_| "a, \"b\"\nc".to_owned()))
            .number("score", &rows, |row| *row)
            .count("rank", &rows, |row| row.map(|_| u64::MAX))
            .flag("good", &rows, |row| row.map(|_| true))
    }

    #[test]
    fn csv_quotes_and_keeps_every_bit() {
        let text = String::from_utf8(table().csv().unwrap()).unwrap();
        assert_eq!(
            text,
            "name,score,rank,good\n\"a, \"\"b\"\"\nc\",0.30000000000000004,18446744073709551615,true\n,,,\n"
        );
        assert_eq!(Table::default().csv().unwrap(), b"\"\"\n");
    }

    #[test]
    fn parquet_holds_the_cells() {
        let folder = tempfile::tempdir().unwrap();
        let paths = ["a", "b"].map(|name| folder.path().join(name));
        for path in &paths {
            table().write_parquet(path).unwrap();
        }
        assert_eq!(
            std::fs::read(&paths[0]).unwrap(),
            std::fs::read(&paths[1]).unwrap()
        );
        let file = std::fs::File::open(&paths[0]).unwrap();
        let frame = ParquetReader::new(file).finish().unwrap();
        let score = frame.column("score").unwrap().f64().unwrap();
        assert_eq!((score.get(0), score.get(1)), (Some(0.1 + 0.2), None));
        assert_eq!(
            frame.column("rank").unwrap().u64().unwrap().get(0),
            Some(u64::MAX)
        );
        assert_eq!(
            frame.column("good").unwrap().bool().unwrap().get(0),
            Some(true)
        );
    }
}
