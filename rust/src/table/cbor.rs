//! A row as CBOR (RFC 8949): a map of its columns. Text stays text and bytes stay bytes, which JSON could not do.

use crate::boundary::Failure;
use arrow_array::cast::AsArray;
use arrow_array::types::*;
use arrow_array::{Array, ArrowPrimitiveType, RecordBatch};
use arrow_schema::DataType;

const MAX_ROW_BYTES: usize = 256 << 20;

// Major types.
const UNSIGNED: u8 = 0;
const NEGATIVE: u8 = 1;
const BYTES: u8 = 2;
const TEXT: u8 = 3;
const LIST: u8 = 4;
const MAP: u8 = 5;

struct Writer {
    out: Vec<u8>,
}

impl Writer {
    fn head(&mut self, major: u8, value: u64) {
        self.out.push(major << 5 | 27); // eight bytes follow
        self.out.extend_from_slice(&value.to_be_bytes());
    }

    fn string(&mut self, major: u8, bytes: &[u8]) -> Result<(), Failure> {
        if self.out.len() + bytes.len() > MAX_ROW_BYTES {
            return Err(Failure::from(format!("it holds more than {} MiB", MAX_ROW_BYTES >> 20)));
        }
        self.head(major, bytes.len() as u64);
        self.out.extend_from_slice(bytes);
        Ok(())
    }

    fn null(&mut self) {
        self.out.push(0xf6);
    }

    fn integer(&mut self, value: i64) {
        if value < 0 {
            self.head(NEGATIVE, !value as u64);
        } else {
            self.head(UNSIGNED, value as u64);
        }
    }

    fn float(&mut self, value: f64) {
        self.out.push(0xfb);
        self.out.extend_from_slice(&value.to_be_bytes());
    }

    fn list(&mut self, values: &dyn Array) -> Result<(), Failure> {
        self.head(LIST, values.len() as u64);
        (0..values.len()).try_for_each(|i| self.value(values, i))
    }

    /// The value that a dictionary's key stands for; its keys are of any integer type.
    fn dictionary(&mut self, array: &dyn Array, i: usize) -> Result<(), Failure> {
        let dictionary = array.as_any_dictionary();
        let mut key = Writer { out: Vec::new() };
        key.value(dictionary.keys(), i)?;
        let place = match key.out.split_first() {
            Some((&head, number)) if head == UNSIGNED << 5 | 27 => u64::from_be_bytes(number.try_into()?) as usize,
            _ => return Err(Failure::from("it has an invalid key of a dictionary")),
        };
        if place >= dictionary.values().len() {
            return Err(Failure::from("it has an invalid key of a dictionary"));
        }
        self.value(dictionary.values(), place)
    }

    fn value(&mut self, array: &dyn Array, i: usize) -> Result<(), Failure> {
        if array.is_null(i) {
            self.null();
            return Ok(());
        }
        fn number<T: ArrowPrimitiveType>(array: &dyn Array, i: usize) -> T::Native {
            array.as_primitive::<T>().value(i)
        }
        match array.data_type() {
            DataType::Null => self.null(),
            DataType::Boolean => self.out.push(0xf4 + u8::from(array.as_boolean().value(i))),
            DataType::Int8 => self.integer(number::<Int8Type>(array, i).into()),
            DataType::Int16 => self.integer(number::<Int16Type>(array, i).into()),
            DataType::Int32 => self.integer(number::<Int32Type>(array, i).into()),
            DataType::Int64 => self.integer(number::<Int64Type>(array, i)),
            DataType::UInt8 => self.head(UNSIGNED, number::<UInt8Type>(array, i).into()),
            DataType::UInt16 => self.head(UNSIGNED, number::<UInt16Type>(array, i).into()),
            DataType::UInt32 => self.head(UNSIGNED, number::<UInt32Type>(array, i).into()),
            DataType::UInt64 => self.head(UNSIGNED, number::<UInt64Type>(array, i)),
            DataType::Float32 => self.float(number::<Float32Type>(array, i).into()),
            DataType::Float64 => self.float(number::<Float64Type>(array, i)),
            DataType::Utf8 => self.string(TEXT, array.as_string::<i32>().value(i).as_bytes())?,
            DataType::LargeUtf8 => self.string(TEXT, array.as_string::<i64>().value(i).as_bytes())?,
            DataType::Utf8View => self.string(TEXT, array.as_string_view().value(i).as_bytes())?,
            DataType::Binary => self.string(BYTES, array.as_binary::<i32>().value(i))?,
            DataType::LargeBinary => self.string(BYTES, array.as_binary::<i64>().value(i))?,
            DataType::BinaryView => self.string(BYTES, array.as_binary_view().value(i))?,
            DataType::FixedSizeBinary(_) => self.string(BYTES, array.as_fixed_size_binary().value(i))?,
            DataType::List(_) => self.list(&array.as_list::<i32>().value(i))?,
            DataType::LargeList(_) => self.list(&array.as_list::<i64>().value(i))?,
            DataType::FixedSizeList(_, _) => self.list(&array.as_fixed_size_list().value(i))?,
            DataType::Struct(fields) => {
                self.head(MAP, fields.len() as u64);
                for (field, column) in fields.iter().zip(array.as_struct().columns()) {
                    self.string(TEXT, field.name().as_bytes())?;
                    self.value(column, i)?;
                }
            }
            DataType::Dictionary(_, _) => self.dictionary(array, i)?,
            other => return Err(Failure::from(format!("it has a value of type {other}, which is not read"))),
        }
        Ok(())
    }
}

pub fn encode_row(batch: &RecordBatch, row: usize) -> Result<Vec<u8>, Failure> {
    let mut writer = Writer { out: Vec::new() };
    writer.head(MAP, batch.num_columns() as u64);
    for (field, column) in batch.schema_ref().fields().iter().zip(batch.columns()) {
        writer.string(TEXT, field.name().as_bytes())?;
        writer.value(column, row)?;
    }
    Ok(writer.out)
}
