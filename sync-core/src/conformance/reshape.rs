//! A message as an older or a newer program writes it: without a field, or with one that nobody here knows.

use serde::{
    Serialize, Serializer,
    ser::{Error, Impossible, SerializeStruct},
};

/// See the [module](self).
pub(super) struct Reshaped<'a, T> {
    pub(super) message: &'a T,
    /// The field to leave out.
    pub(super) without: Option<&'static str>,
}

/// What a newer program might add.
#[derive(Serialize)]
struct Tomorrow {
    #[serde(with = "serde_bytes")]
    bytes: Vec<u8>,
    list: Vec<Option<f64>>,
    text: &'static str,
}

impl<T: Serialize> Serialize for Reshaped<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.message.serialize(Shape { serializer, without: self.without })
    }
}

struct Shape<S> {
    serializer: S,
    without: Option<&'static str>,
}

struct Fields<S> {
    fields: S,
    without: Option<&'static str>,
}

impl<S: SerializeStruct> SerializeStruct for Fields<S> {
    type Ok = S::Ok;
    type Error = S::Error;

    fn serialize_field<T: ?Sized + Serialize>(
        &mut self,
        name: &'static str,
        value: &T,
    ) -> Result<(), S::Error> {
        if self.without == Some(name) { Ok(()) } else { self.fields.serialize_field(name, value) }
    }

    fn end(self) -> Result<S::Ok, S::Error> {
        self.fields.end()
    }
}

/// What is no struct cannot be reshaped.
macro_rules! refuse {
    ($($method:ident($($type:ty),*) -> $result:ty;)*) => {
        $(fn $method(self, $(_: $type),*) -> Result<$result, S::Error> {
            Err(S::Error::custom("only a message with fields is reshaped"))
        })*
    };
}

type No<S> = Impossible<<S as Serializer>::Ok, <S as Serializer>::Error>;

impl<S: Serializer> Serializer for Shape<S> {
    type Ok = S::Ok;
    type Error = S::Error;
    type SerializeSeq = No<S>;
    type SerializeTuple = No<S>;
    type SerializeTupleStruct = No<S>;
    type SerializeTupleVariant = No<S>;
    type SerializeMap = No<S>;
    type SerializeStruct = Fields<S::SerializeStruct>;
    type SerializeStructVariant = No<S>;

    fn serialize_struct(self, name: &'static str, length: usize) -> Result<Self::SerializeStruct, S::Error> {
        let length = length + 1 - usize::from(self.without.is_some());
        let mut fields = self.serializer.serialize_struct(name, length)?;
        // At the front, where a form that goes by position cannot overlook it.
        let new = Tomorrow { bytes: vec![0, 255], list: vec![None, Some(0.5)], text: "new" };
        fields.serialize_field("a_field_of_tomorrow", &new)?;
        Ok(Fields { fields, without: self.without })
    }

    fn serialize_some<T: ?Sized + Serialize>(self, _: &T) -> Result<S::Ok, S::Error> {
        Err(S::Error::custom("only a message with fields is reshaped"))
    }

    fn serialize_newtype_struct<T: ?Sized + Serialize>(
        self,
        _: &'static str,
        _: &T,
    ) -> Result<S::Ok, S::Error> {
        Err(S::Error::custom("only a message with fields is reshaped"))
    }

    fn serialize_newtype_variant<T: ?Sized + Serialize>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Result<S::Ok, S::Error> {
        Err(S::Error::custom("only a message with fields is reshaped"))
    }

    refuse! {
        serialize_bool(bool) -> S::Ok;
        serialize_i8(i8) -> S::Ok;
        serialize_i16(i16) -> S::Ok;
        serialize_i32(i32) -> S::Ok;
        serialize_i64(i64) -> S::Ok;
        serialize_u8(u8) -> S::Ok;
        serialize_u16(u16) -> S::Ok;
        serialize_u32(u32) -> S::Ok;
        serialize_u64(u64) -> S::Ok;
        serialize_f32(f32) -> S::Ok;
        serialize_f64(f64) -> S::Ok;
        serialize_char(char) -> S::Ok;
        serialize_str(&str) -> S::Ok;
        serialize_bytes(&[u8]) -> S::Ok;
        serialize_none() -> S::Ok;
        serialize_unit() -> S::Ok;
        serialize_unit_struct(&'static str) -> S::Ok;
        serialize_unit_variant(&'static str, u32, &'static str) -> S::Ok;
        serialize_seq(Option<usize>) -> No<S>;
        serialize_tuple(usize) -> No<S>;
        serialize_tuple_struct(&'static str, usize) -> No<S>;
        serialize_tuple_variant(&'static str, u32, &'static str, usize) -> No<S>;
        serialize_map(Option<usize>) -> No<S>;
        serialize_struct_variant(&'static str, u32, &'static str, usize) -> No<S>;
    }
}
