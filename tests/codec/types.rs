// Type definitions as people write them, for test_rust.py. The comment above each is its schema.
#![allow(dead_code)]
use heapless::{String as HString, Vec as HVec};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::marker::PhantomData;
use std::num::NonZeroU16;
use std::time::Duration;

const CHANNELS: usize = 4;
const DEPTH: usize = 2 * CHANNELS + (1 << 2);

/// {x:i16,ts:u32}
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Sample {
    pub x: i16,
    /// micro-seconds since the start
    pub ts: u32,
}

/// {id:u64,name:str,label:Option<str>,ratio:f32,exact:f64,on:bool,mark:char}
#[derive(Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Scalars {
    id: u64,
    name: String,
    #[serde(default)]
    label: Option<String>,
    ratio: f32,
    exact: f64,
    #[serde(rename = "enabled", alias = "active")]
    on: bool,
    mark: char,
}

/// [f32;4]
#[derive(Serialize)]
struct Gains([f32; CHANNELS]);

/// (u8,i16,str)
#[derive(Serialize)]
struct Triple(pub u8, pub(crate) i16, String);

/// ()
#[derive(Serialize)]
struct Marker;

/// ()
#[derive(Serialize)]
struct Nothing();

/// {}
#[derive(Serialize)]
struct Empty {}

/// u32
#[derive(Serialize, Copy, Clone)]
#[repr(transparent)]
pub struct Millis(u32);

/// u16
#[derive(Serialize)]
#[serde(transparent)]
struct Wrapper {
    inner: u16,
}

/// enum{Idle,Run(u8),Fault(u32,str),Cal{code:u16,gains:[f32;4]}}
#[derive(Serialize)]
pub enum Mode {
    Idle,
    Run(u8),
    Fault(u32, String),
    Cal { code: u16, gains: Gains },
}

/// enum{Low,Mid,High}
#[derive(Serialize)]
#[repr(u8)]
enum Level {
    Low = 10,
    Mid = 20,
    #[serde(rename = "top")]
    High = 30,
}

/// enum{None,One((u8,u8)),Many(Vec<enum{Low,Mid,High}>),Zero(),Open{}}
#[derive(Serialize)]
enum Nested {
    None,
    One((u8, u8)),
    Many(Vec<Level>),
    Zero(),
    Open {},
}

/// {a:{x:i16,ts:u32},mode:enum{Idle,Run(u8),Fault(u32,str),Cal{code:u16,gains:[f32;4]}},log:Vec<{x:i16,ts:u32}>}
#[derive(Serialize)]
struct Outer {
    a: Sample,
    mode: Mode,
    log: Vec<Sample>,
}

/// {head:u32,body:[u8;12]}
#[derive(Serialize)]
struct Sized_ {
    head: u32,
    body: [u8; DEPTH],
}

/// {m:[[f32;3];2],e:[();0]}
#[derive(Serialize)]
struct Matrix {
    m: [[f32; 3]; 2],
    e: [(); 0],
}

/// {by_name:Map<str,u8>,by_id:Map<u32,{x:i16,ts:u32}>,seen:Vec<u16>,order:Vec<i8>,queue:Vec<bool>}
#[derive(Serialize)]
struct Collections {
    by_name: HashMap<String, u8>,
    by_id: BTreeMap<u32, Sample>,
    seen: HashSet<u16>,
    order: BTreeSet<i8>,
    queue: VecDeque<bool>,
}

/// {name:str,raw:Vec<u8>,rest:Vec<u16>,cow:str,list:Vec<u32>}
#[derive(Serialize)]
struct Borrowed<'a> {
    name: &'a str,
    raw: &'a [u8],
    #[serde(borrow)]
    rest: Cow<'a, [u16]>,
    cow: Cow<'a, str>,
    list: Box<[u32]>,
}

/// {data:u16,n:u32}
#[derive(Serialize)]
struct Frame<T> {
    data: T,
    n: u32,
}
type Short = Frame<u16>;

/// {a:{data:{x:i16,ts:u32},n:u32},b:{data:Option<u8>,n:u32},c:{data:u16,n:u32}}
#[derive(Serialize)]
struct Frames {
    a: Frame<Sample>,
    b: Frame<Option<u8>>,
    c: Short,
}

/// {items:[u16;8],len:u8}
#[derive(Serialize)]
struct Ring<T, const N: usize> {
    items: [T; N],
    len: u8,
}

/// {small:{items:[u16;8],len:u8},large:{items:[(u8,i64);12],len:u8}}
#[derive(Serialize)]
struct Rings {
    small: Ring<u16, 8>,
    large: Ring<(u8, i64), { DEPTH }>,
}

/// {value:Vec<u8>,kind:()}
#[derive(Serialize)]
struct Tagged<T = Vec<u8>, K: Clone = ()>
where
    T: Clone,
{
    value: T,
    kind: PhantomData<K>,
}

/// {name:str,points:Vec<{x:i16,ts:u32}>,u:u64,i:i64}
#[derive(serde::Serialize)]
struct Embedded {
    name: HString<32>,
    points: HVec<Sample, 16>,
    u: usize,
    i: isize,
}

/// {fixed:u32le,big:i64be,raw:bytes,hash:[u8;40],buf:bytes}
#[derive(Serialize)]
struct Wire {
    #[serde(with = "postcard::fixint::le")]
    fixed: u32,
    #[serde(with = "postcard::fixint::be")]
    big: i64,
    #[serde(with = "serde_bytes")]
    raw: Vec<u8>,
    #[serde(with = "serde_big_array::BigArray")]
    hash: [u8; 40],
    buf: serde_bytes::ByteBuf,
}

/// {t:{secs:u64,nanos:u32},n:u16,r:{start:u8,end:u8},done:enum{Ok(u8),Err(str)},a:[u8;4]}
#[derive(Serialize)]
struct Std {
    t: Duration,
    n: NonZeroU16,
    r: std::ops::Range<u8>,
    done: Result<u8, String>,
    a: std::net::Ipv4Addr,
}

/// {shared:{x:i16,ts:u32},cell:u8,boxed:Option<{x:i16,ts:u32}>,count:u32}
#[derive(Serialize)]
struct Pointers {
    shared: std::sync::Arc<Sample>,
    cell: std::cell::RefCell<u8>,
    boxed: Option<Box<Sample>>,
    count: std::sync::atomic::AtomicU32,
}

/// {type:u8,match:str,class:i8}
#[derive(Serialize)]
struct Raw {
    r#type: u8,
    r#match: String,
    class: i8,
}

/// (u8,(),(i16,))
#[derive(Serialize)]
struct Tuples(u8, (), (i16,));

/// Option<Option<u8>>
#[derive(Serialize)]
struct Twice(Option<Option<u8>>);

/// {v:{major:u8,minor:u8},w:u128,x:i128}
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case"))]
pub struct Conditional {
    v: version::Version,
    w: u128,
    x: i128,
}

pub mod version {
    /// {major:u8,minor:u8}
    #[derive(super::Serialize)]
    pub struct Version {
        pub major: u8,
        pub(in crate::a) minor: u8,
    }
}

/// {
///   id:u32,
///   last:Option<enum{Idle,Run(u8),Fault(u32,str),Cal{code:u16,gains:[f32;4]}}>,
///   history:[Option<{x:i16,ts:u32}>;12],
///   stats:Map<(u8,bool),(f32,f32)>
/// }
#[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Device {
    /* the number
    on the case */
    pub id: u32,
    pub last: Option<Mode>,
    pub history: [Option<Sample>; DEPTH], // the newest first
    pub stats: BTreeMap<(u8, bool), (f32, f32)>,
}
