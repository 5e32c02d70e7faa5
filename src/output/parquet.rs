//! Parquet files: one row per row and moment, a column per column.
//!
//! Types follow from the [`Storage`] of a column: text is UTF-8, identifiers are unsigned, lists and records JSON. `time` is a
//! timestamp in microseconds, UTC. A file has no footer before [`ParquetWriter::finish`], and cannot be read.

use super::stored::{Stored, stored};
use super::timed::TimedRows;
use crate::format::{Column, Storage};
use ::parquet::basic::{Compression, LogicalType, Repetition, TimeUnit, Type as Physical, ZstdLevel};
use ::parquet::data_type::{BoolType, ByteArray, ByteArrayType, DoubleType, Int64Type};
use ::parquet::errors::ParquetError;
use ::parquet::file::properties::WriterProperties;
use ::parquet::file::writer::{SerializedColumnWriter, SerializedFileWriter};
use ::parquet::schema::types::Type;
use std::collections::HashMap;
use std::io::{self, Write};
use std::sync::Arc;

/// Most rows of a row group.
const ROWS: usize = 1 << 16;
/// Size of the values in memory from which on a row group is written, bytes.
const BYTES: usize = 32 << 20;

/// Values of one column of the next row group, without the missing ones.
#[derive(Debug)]
enum Values {
    Boolean(Vec<bool>),
    Integer(Vec<i64>),
    Float(Vec<f64>),
    /// With the texts that were seen, so that each is kept once.
    Text(Vec<ByteArray>, HashMap<Box<str>, ByteArray>),
}

#[derive(Debug)]
struct Chunk {
    values: Values,
    /// For each row 1 with a value, 0 without.
    levels: Vec<i16>,
}

/// A Parquet file that is being written; memory is bounded by one row group.
pub struct ParquetWriter<W: Write + Send> {
    writer: SerializedFileWriter<W>,
    chunks: Vec<Chunk>,
    bytes: usize,
}

impl<W: Write + Send> std::fmt::Debug for ParquetWriter<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ParquetWriter").field("columns", &self.chunks.len()).finish_non_exhaustive()
    }
}

impl<W: Write + Send> ParquetWriter<W> {
    /// Begins a file of these columns, the time among them as the first.
    pub fn new(out: W, columns: &[&'static Column]) -> io::Result<Self> {
        let fields = columns.iter().enumerate().map(|(i, c)| field(i, c)).collect::<Result<_, _>>();
        let schema = Type::group_type_builder("rows").with_fields(fields.map_err(io_error)?).build();
        let level = ZstdLevel::try_new(3).map_err(io_error)?;
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(level))
            .set_created_by(concat!("sockscope ", env!("CARGO_PKG_VERSION")).to_owned())
            .build();
        let schema = Arc::new(schema.map_err(io_error)?);
        let writer = SerializedFileWriter::new(out, schema, Arc::new(properties)).map_err(io_error)?;
        let chunk = |(i, c): (usize, &&'static Column)| Chunk { values: values(i, c), levels: Vec::new() };
        Ok(Self { writer, chunks: columns.iter().enumerate().map(chunk).collect(), bytes: 0 })
    }

    /// Adds rows with the columns of the file.
    pub fn write(&mut self, rows: &TimedRows<'_>) -> io::Result<()> {
        for row in 0..rows.rows.len() {
            for (i, chunk) in self.chunks.iter_mut().enumerate() {
                let value = match i {
                    0 => Stored::Integer((rows.unix_ns(row) / 1000) as i64),
                    _ => {
                        let column = rows.columns[i];
                        stored(column.value(rows.snap, rows.rows[row] as usize), column.kind)
                    }
                };
                self.bytes += chunk.push(value);
            }
            if self.bytes >= BYTES || self.chunks.first().is_some_and(|c| c.levels.len() >= ROWS) {
                self.write_group()?;
            }
        }
        Ok(())
    }

    /// Writes what is left and the footer; returns the output.
    pub fn finish(mut self) -> io::Result<W> {
        self.write_group()?;
        self.writer.into_inner().map_err(io_error)
    }

    fn write_group(&mut self) -> io::Result<()> {
        if self.chunks.first().is_none_or(|c| c.levels.is_empty()) {
            return Ok(());
        }
        let mut group = self.writer.next_row_group().map_err(io_error)?;
        for chunk in &mut self.chunks {
            if let Some(mut out) = group.next_column().map_err(io_error)? {
                chunk.write(&mut out).map_err(io_error)?;
                out.close().map_err(io_error)?;
            }
            chunk.clear();
        }
        group.close().map_err(io_error)?;
        self.bytes = 0;
        Ok(())
    }
}

impl Chunk {
    /// Adds a value; returns about what it takes in memory, bytes.
    fn push(&mut self, value: Stored<'_>) -> usize {
        let mut size = size_of::<i16>() + size_of::<i64>();
        let level = match (&mut self.values, value) {
            (Values::Boolean(all), Stored::Boolean(b)) => (all.push(b), 1).1,
            (Values::Integer(all), Stored::Integer(n)) => (all.push(n), 1).1,
            // The bits of an unsigned number; the type of the column declares them unsigned.
            (Values::Integer(all), Stored::Unsigned(n)) => (all.push(n.cast_signed()), 1).1,
            (Values::Float(all), Stored::Float(n)) => (all.push(n), 1).1,
            (Values::Text(all, seen), Stored::Text(text)) => {
                size += size_of::<ByteArray>();
                let known = seen.get(&*text).cloned();
                let kept = known.unwrap_or_else(|| {
                    size += 2 * text.len() + 64;
                    let bytes = ByteArray::from(text.as_bytes().to_vec());
                    seen.insert(text.into(), bytes.clone());
                    bytes
                });
                all.push(kept);
                1
            }
            _ => 0,
        };
        self.levels.push(level);
        size
    }

    fn write(&self, out: &mut SerializedColumnWriter<'_>) -> Result<usize, ParquetError> {
        let levels = Some(&self.levels[..]);
        match &self.values {
            Values::Boolean(all) => out.typed::<BoolType>().write_batch(all, levels, None),
            Values::Integer(all) => out.typed::<Int64Type>().write_batch(all, levels, None),
            Values::Float(all) => out.typed::<DoubleType>().write_batch(all, levels, None),
            Values::Text(all, _) => out.typed::<ByteArrayType>().write_batch(all, levels, None),
        }
    }

    fn clear(&mut self) {
        self.levels.clear();
        match &mut self.values {
            Values::Boolean(all) => all.clear(),
            Values::Integer(all) => all.clear(),
            Values::Float(all) => all.clear(),
            Values::Text(all, seen) => {
                all.clear();
                seen.clear();
            }
        }
    }
}

/// Empty values of a column; the first is the time.
fn values(number: usize, c: &Column) -> Values {
    match c.kind.storage() {
        _ if number == 0 => Values::Integer(Vec::new()),
        Storage::Boolean => Values::Boolean(Vec::new()),
        Storage::Integer | Storage::Unsigned => Values::Integer(Vec::new()),
        Storage::Float => Values::Float(Vec::new()),
        Storage::Text | Storage::Json => Values::Text(Vec::new(), HashMap::new()),
    }
}

/// Field of a column in the schema.
fn field(number: usize, c: &Column) -> Result<Arc<Type>, ParquetError> {
    let (physical, logical) = match c.kind.storage() {
        _ if number == 0 => (Physical::INT64, Some(LogicalType::timestamp(true, TimeUnit::MICROS))),
        Storage::Boolean => (Physical::BOOLEAN, None),
        Storage::Integer => (Physical::INT64, Some(LogicalType::integer(64, true))),
        Storage::Unsigned => (Physical::INT64, Some(LogicalType::integer(64, false))),
        Storage::Float => (Physical::DOUBLE, None),
        Storage::Text => (Physical::BYTE_ARRAY, Some(LogicalType::String)),
        Storage::Json => (Physical::BYTE_ARRAY, Some(LogicalType::Json)),
    };
    let field = Type::primitive_type_builder(c.name, physical);
    Ok(Arc::new(field.with_repetition(Repetition::OPTIONAL).with_logical_type(logical).build()?))
}

/// The system's error, if it was one.
fn io_error(e: ParquetError) -> io::Error {
    match e {
        ParquetError::External(source) => match source.downcast::<io::Error>() {
            Ok(e) => *e,
            Err(other) => io::Error::other(other),
        },
        other => io::Error::other(other),
    }
}
