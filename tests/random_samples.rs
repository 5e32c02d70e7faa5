//! A sample written as JSON or as a frame and read back is equal.
//!
//! The samples come from a deserializer that returns a random value for every request, so new fields and variants are
//! covered as soon as they exist.

// Tests may panic.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::struct_field_names)]

use serde::de::value::{Error, StrDeserializer};
use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, IntoDeserializer, MapAccess, SeqAccess, VariantAccess, Visitor,
};
use serde::{Deserialize, forward_to_deserialize_any};
use sockscope::collect::Source;
use sockscope::collect::scenario::{Scenario, ScenarioSource};
use sockscope::derive::Engine;
use sockscope::frame::{Decoder, Encoder, FrameError, HEADER_LEN, canonical, head_of};
use sockscope::model::{Needs, ProtoSet, Reads, Sample, Snapshot, Wants, nft};
use sockscope::recording::Redactor;
use std::collections::HashSet;

/// Number of samples.
const SAMPLES: u64 = 1_000;
/// Depth from which on lists are empty and options `None`.
const MAX_DEPTH: u32 = 12;

/// `SplitMix64`.
struct Rng {
    state: u64,
    /// Every text and list of bytes contains [`MARKER`] or [`MARKED`].
    is_marked: bool,
    /// Bytes given so far, and those that come first.
    bytes: (usize, Vec<u8>),
}

/// Text that a redacted sample does not contain.
const MARKER: &str = "Acme-Alice";
/// Bytes that it does not contain, from any of them on.
const MARKED: [u8; 4] = [203, 0, 113, 77];

impl Rng {
    const fn new(seed: u64) -> Self {
        Self { state: seed, is_marked: false, bytes: (0, Vec::new()) }
    }

    fn byte(&mut self) -> u8 {
        if let Some(byte) = self.bytes.1.pop() {
            return byte;
        }
        self.bytes.0 += 1;
        MARKED[self.bytes.0 % MARKED.len()]
    }

    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.state ^ (self.state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// Often small, and often at the end of its range.
    fn integer(&mut self) -> u64 {
        match self.below(4) {
            0 => self.below(10),
            1 => u64::MAX - self.below(2),
            2 => self.next() >> 32,
            _ => self.next(),
        }
    }

    fn text(&mut self) -> String {
        const CHARS: [char; 12] = ['a', 'Z', '0', ' ', '"', '\\', '\n', '\0', 'é', '한', '😀', '\u{202e}'];
        // In the places in which parts of a text could be kept.
        const TEXTS: [&str; 16] = [
            "X",
            "/run/X",
            "/X/docker.sock",
            "@X",
            "@/run/X",
            "route:X",
            "X:q1",
            "eth0X",
            "X 812",
            "X 812 socket",
            "docker-X.scope",
            "/system.slice/X.service/init",
            "user-X.slice",
            "X: Permission denied",
            "nginx --password=X 10.9.8.7",
            "pipe:[X]",
        ];
        if self.is_marked {
            return TEXTS[self.below(TEXTS.len() as u64) as usize].replace('X', MARKER);
        }
        (0..self.below(6)).map(|_| CHARS[self.below(CHARS.len() as u64) as usize]).collect()
    }
}

/// Random values of the requested type.
struct Random<'a> {
    rng: &'a mut Rng,
    depth: u32,
}

impl Random<'_> {
    fn child(&mut self) -> Random<'_> {
        Random { rng: self.rng, depth: self.depth + 1 }
    }

    fn len(&mut self) -> usize {
        if self.depth > MAX_DEPTH { 0 } else { self.rng.below(4) as usize }
    }
}

macro_rules! integers {
    ($($method:ident $visit:ident $type:ty;)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            visitor.$visit(self.rng.integer() as $type)
        }
    )*};
}

impl<'de> Deserializer<'de> for Random<'_> {
    type Error = Error;

    fn deserialize_u8<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_u8(if self.rng.is_marked { self.rng.byte() } else { self.rng.integer() as u8 })
    }

    integers! {
        deserialize_u16 visit_u16 u16;
        deserialize_u32 visit_u32 u32;
        deserialize_u64 visit_u64 u64;
        deserialize_i8 visit_i8 i8;
        deserialize_i16 visit_i16 i16;
        deserialize_i32 visit_i32 i32;
        deserialize_i64 visit_i64 i64;
    }

    fn deserialize_u128<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let high = u128::from(self.rng.integer());
        visitor.visit_u128(high << 64 | u128::from(self.rng.integer()))
    }

    fn is_human_readable(&self) -> bool {
        false
    }

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
        panic!("a type that does not ask for its kind: extend this test")
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_bool(self.rng.below(2) == 0)
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_f32(self.rng.below(1000) as f32 / 8.0)
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_f64(self.rng.below(1000) as f64 / 8.0)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_string(self.rng.text())
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_string(self.rng.text())
    }

    fn deserialize_option<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Error> {
        if self.len() == 0 { visitor.visit_none() } else { visitor.visit_some(self.child()) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        if self.rng.is_marked && name == "Addr" && self.rng.below(2) == 0 {
            let mut v4 = *sockscope::model::Addr::v4(MARKED).octets();
            v4.reverse();
            self.rng.bytes.1 = v4.to_vec();
        }
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Error> {
        let left = self.len();
        visitor.visit_seq(Items { random: self, left })
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, left: usize, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_seq(Items { random: self, left })
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        left: usize,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_seq(Items { random: self, left })
    }

    fn deserialize_map<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Error> {
        let left = self.len();
        visitor.visit_map(Items { random: self, left })
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_map(Fields { random: self, fields: fields.iter(), last: "" })
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let variant = variants[self.rng.below(variants.len() as u64) as usize];
        visitor.visit_enum(Variant { random: self, variant })
    }

    forward_to_deserialize_any! { i128 char bytes byte_buf unit unit_struct identifier ignored_any }
}

/// Items of a list, or entries of a map.
struct Items<'a> {
    random: Random<'a>,
    left: usize,
}

impl<'de> SeqAccess<'de> for Items<'_> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        let Some(left) = self.left.checked_sub(1) else { return Ok(None) };
        self.left = left;
        seed.deserialize(self.random.child()).map(Some)
    }
}

impl<'de> MapAccess<'de> for Items<'_> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        self.next_element_seed(seed)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        seed.deserialize(self.random.child())
    }
}

/// Fields of a struct.
struct Fields<'a> {
    random: Random<'a>,
    fields: std::slice::Iter<'static, &'static str>,
    last: &'static str,
}

impl<'de> MapAccess<'de> for Fields<'_> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        let Some(name) = self.fields.next() else { return Ok(None) };
        self.last = name;
        seed.deserialize(StrDeserializer::new(name)).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        let rng = &mut *self.random.rng;
        let kept = match self.last {
            _ if !rng.is_marked => None,
            // The names of programs stay.
            "comm" => return seed.deserialize(StrDeserializer::new("nginx")),
            // What is known to be a number stays: no register has the value of another, and no key of a set is one.
            "sreg" => Some(1_000 + rng.below(1_000) as u32),
            "dreg" => Some(2_000 + rng.below(1_000) as u32),
            "key_type" | "data_type" => Some([0, 7, 8, 9, 41, 7 << 6 | 8][rng.below(6) as usize]),
            _ => None,
        };
        match kept {
            Some(number) => seed.deserialize(Kept(number)),
            None => seed.deserialize(self.random.child()),
        }
    }
}

/// An optional number with this value.
struct Kept(u32);

impl<'de> Deserializer<'de> for Kept {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_u32(self.0)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_some(self)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct
        newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

/// A variant of an enum, with its content.
struct Variant<'a> {
    random: Random<'a>,
    variant: &'static str,
}

impl<'de, 'a> EnumAccess<'de> for Variant<'a> {
    type Error = Error;
    type Variant = Random<'a>;

    fn variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<(T::Value, Random<'a>), Error> {
        let name: StrDeserializer<'_, Error> = self.variant.into_deserializer();
        Ok((seed.deserialize(name)?, self.random))
    }
}

impl<'de> VariantAccess<'de> for Random<'_> {
    type Error = Error;

    fn unit_variant(self) -> Result<(), Error> {
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(mut self, seed: T) -> Result<T::Value, Error> {
        seed.deserialize(self.child())
    }

    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_tuple(len, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.deserialize_struct("", fields, visitor)
    }
}

fn random_sample(seed: u64) -> Sample {
    let mut rng = Rng::new(seed);
    Sample::deserialize(Random { rng: &mut rng, depth: 0 }).unwrap()
}

#[test]
fn thousand_random_samples_survive_json() {
    let (mut sockets, mut expressions) = (0, HashSet::new());
    for seed in 0..SAMPLES {
        let sample = random_sample(seed);
        let json = serde_json::to_string(&sample).unwrap();
        let back: Sample = serde_json::from_str(&json).unwrap_or_else(|e| panic!("seed {seed}: {e}\n{json}"));
        assert_eq!(back, sample, "seed {seed}");
        sockets += sample.sockets.len();
        let tables = sample.netfilter.iter().flat_map(|n| &n.nft).flat_map(|r| &r.tables);
        let rules = tables.flat_map(|t| &t.chains).flat_map(|c| &c.rules);
        expressions.extend(rules.flat_map(|r| &r.expressions).map(std::mem::discriminant::<nft::Expr>));
    }
    assert!(sockets > 500, "only {sockets} sockets");
    assert!(expressions.len() >= 20, "only {} kinds of expressions", expressions.len());
}

/// A random sample of which every index is one that a backend could have given.
fn possible_sample(seed: u64) -> Sample {
    let mut sample = random_sample(seed);
    let processes = sample.processes.len() as u32;
    let owners = sample.owners.iter().filter(|o| o.process < processes);
    sample.owners = owners.copied().collect();
    canonical(&mut sample);
    sample
}

/// Reads a frame.
fn read<'d>(decoder: &'d mut Decoder, frame: &[u8]) -> Result<&'d Sample, FrameError> {
    let (head, body) = frame.split_at(HEADER_LEN);
    let head = head_of(head.try_into().unwrap())?;
    assert_eq!(head.len as usize, body.len());
    decoder.frame(&head, body)
}

fn assert_equal(read: &Sample, written: &Sample, what: &str) {
    if read != written {
        let json = |s: &Sample| serde_json::to_string_pretty(s).unwrap();
        let (read, written) = (json(read), json(written));
        let line = read.lines().zip(written.lines()).enumerate().find(|(_, (r, w))| r != w);
        panic!("{what}: {line:?} of {} and {} lines", read.lines().count(), written.lines().count());
    }
}

/// The next sample: rows of all tables are kept, changed, moved, removed and added.
fn next_sample(last: &Sample, rng: &mut Rng) -> Sample {
    let other = possible_sample(rng.next());
    let mut next = last.clone();
    next.at.boot_ns = last.at.boot_ns.saturating_add(rng.below(3_000_000_000));
    let mut sockets: Vec<_> = last.sockets.iter().map(|s| (last, *s)).collect();
    sockets.retain(|_| rng.below(5) > 0);
    if rng.below(3) == 0 {
        sockets.reverse();
    }
    // Sockets of the other sample, with its names and attributes.
    for s in &other.sockets {
        let at = rng.below(sockets.len() as u64 + 1) as usize;
        sockets.insert(at, (&other, *s));
    }
    (next.sockets, next.attrs, next.infos) = (Vec::new(), Vec::new(), Vec::new());
    for (from, mut s) in sockets {
        let len = next.info_len();
        let info = from.infos.get(s.info_at as usize * from.info_len()..).and_then(|i| i.get(..len));
        s.info_at =
            info.map_or(sockscope::model::Socket::NO_INFO, |_| (next.infos.len() / len.max(1)) as u32);
        next.infos.extend_from_slice(info.unwrap_or(&[]));
        let attrs = &from.attrs[s.attr_at as usize..][..usize::from(s.attr_len)];
        next.push_attrs(&mut s, attrs);
        if rng.below(2) == 0 {
            (s.recv_q, s.timer.expires_ms) = (rng.integer() as u32, rng.integer() as u32);
        }
        (s.local_name, s.remote_name) = (0, s.remote_name.min(next.names.len() as u32 - 1));
        next.sockets.push(s);
    }
    if rng.below(2) == 0 {
        next.processes.extend(other.processes.iter().cloned());
        next.processes.retain(|_| rng.below(4) > 0);
        let processes = next.processes.len() as u32;
        next.owners = last
            .owners
            .iter()
            .chain(other.owners.iter())
            .filter(|o| o.process < processes)
            .copied()
            .collect();
        next.usage.clone_from(&other.usage);
    }
    if rng.below(2) == 0 {
        next.counters.clone_from(&other.counters);
        next.system = other.system;
        next.faults = other.faults.clone();
        next.flows.extend(other.flows.iter().cloned());
    }
    next.events = other.events;
    next.dns = other.dns;
    canonical(&mut next);
    next
}

#[test]
fn sequences_of_random_samples_survive_frames() {
    let (mut rows, mut deltas) = (0, 0);
    for seed in 0..200 {
        let mut rng = Rng::new(seed);
        let (mut encoder, mut decoder) = (Encoder::new(), Decoder::new());
        let mut sample = possible_sample(seed);
        let mut before: Option<Sample> = None;
        for step in 0..6 {
            let frame = encoder.frame(&sample, before.as_ref()).unwrap();
            deltas += usize::from(frame[12] == 2);
            let what = format!("seed {seed} step {step}");
            let back = read(&mut decoder, &frame).unwrap_or_else(|e| panic!("{what}: {e}"));
            assert_equal(back, &sample, &what);
            rows += sample.sockets.len();
            let next = next_sample(&sample, &mut rng);
            before = Some(std::mem::replace(&mut sample, next));
        }
    }
    assert!(rows > 1_000 && deltas > 500, "{rows} rows, {deltas} delta frames");
}

#[test]
fn demo_survives_frames() {
    let mut source = ScenarioSource::new(Scenario::named("busy-web").unwrap());
    let needs = Needs::FINDINGS | Needs::LIMITS | Needs::NAT | Needs::DNS | Needs::RATES;
    let wants = Wants::new(needs, ProtoSet::ALL).with(Reads::CGROUPS);
    let (mut encoder, mut decoder) = (Encoder::new(), Decoder::new());
    let mut before: Option<Sample> = None;
    let (mut keys, mut deltas) = (Vec::new(), Vec::new());
    for step in 0..150 {
        let mut sample = source.sample(&wants).unwrap();
        canonical(&mut sample);
        let frame = encoder.frame(&sample, before.as_ref()).unwrap();
        if frame[12] == 1 {
            keys.push(frame.len());
        } else {
            deltas.push(frame.len());
        }
        let back = read(&mut decoder, &frame).unwrap_or_else(|e| panic!("step {step}: {e}"));
        assert_equal(back, &sample, &format!("step {step}"));
        before = Some(sample);
    }
    assert_eq!(keys.len(), 3, "one key frame for 60 samples");
    assert_eq!(deltas.len(), 147);
}

/// Clocks of the kernel run on in idle sockets, a little uneven because a dump takes time.
#[test]
fn idle_sockets_take_no_space() {
    use sockscope::model::{Family, Proto, Socket, SocketId, State};
    let mut sample = possible_sample(1);
    (sample.sockets, sample.attrs, sample.infos) = (Vec::new(), Vec::new(), Vec::new());
    sample.names = vec!["".into()];
    sample.events = sockscope::model::sample::Events::default();
    sample.dns = sockscope::model::sample::Dns::default();
    (sample.at.boot_ns, sample.at.unix_ns) = (1 << 40, 1 << 60);
    // tcpi_last_data_sent, tcpi_last_data_recv, tcpi_last_ack_recv.
    sample.info_words = 1 << 11 | 1 << 13 | 1 << 14;
    for i in 0..5_000_u32 {
        let id = SocketId { netns: 0, cookie: u64::from(i) * 7 };
        let mut s = Socket::new(id, Family::Inet, Proto::Tcp, State::Established);
        (s.info_at, s.inode, s.local.port) = (i, u64::from(i) * 31, i as u16);
        s.timer.expires_ms = 7_200_000 - i;
        sample.sockets.push(s);
        sample.infos.extend((0..3).flat_map(|k| (i * 13 + k * 1000 + 1).to_ne_bytes()));
    }
    canonical(&mut sample);
    let (mut encoder, mut decoder) = (Encoder::new(), Decoder::new());
    let mut before = None;
    let mut sizes = Vec::new();
    for poll in 0..10_u32 {
        let frame = encoder.frame(&sample, before.as_ref()).unwrap();
        assert_equal(read(&mut decoder, &frame).unwrap(), &sample, "idle");
        sizes.push(frame.len());
        before = Some(sample.clone());
        sample.at.boot_ns += 1_000_000_000 + u64::from(poll) * 1_700_000;
        sample.at.unix_ns += 1_000_000_000;
        let sockets = sample.sockets.len();
        for (i, s) in sample.sockets.iter_mut().enumerate() {
            // Jiffies of 4 ms pass during the dump.
            let passed = 1_000 + 4 * (i * 5 / sockets) as u32 - if poll % 2 == 0 { 4 } else { 0 };
            s.timer.expires_ms -= passed;
            for word in sample.infos[i * 12..][..12].chunks_exact_mut(4) {
                let ago = u32::from_ne_bytes(word.try_into().unwrap());
                word.copy_from_slice(&(ago + passed).to_ne_bytes());
            }
        }
    }
    let (key, deltas) = (sizes[0], &sizes[1..]);
    assert!(key > 3_000 && deltas.iter().all(|d| *d < 300), "{sizes:?}");
}

/// Sample in which every text, address and list of bytes is marked, but for what may be kept.
fn marked_sample(seed: u64) -> Sample {
    let mut rng = Rng { is_marked: true, ..Rng::new(seed) };
    let mut sample = Sample::deserialize(Random { rng: &mut rng, depth: 0 }).unwrap();
    let processes = sample.processes.len() as u32;
    sample.owners = sample.owners.iter().filter(|o| o.process < processes).copied().collect();
    // Numbers of the kernel.
    sample.infos.clear();
    canonical(&mut sample);
    sample
}

/// Places of the marker in a sample that was written as a frame and read back.
fn marked(sample: &Sample) -> Vec<String> {
    let json = serde_json::to_string(sample).unwrap();
    let around = |i: usize| {
        let bytes = &json.as_bytes()[i.saturating_sub(300)..(i + 100).min(json.len())];
        String::from_utf8_lossy(bytes).into_owned()
    };
    let rotated = (0..4).map(|n| {
        let bytes: Vec<String> = (0..4).map(|i| MARKED[(i + n) % 4].to_string()).collect();
        format!(",{},", bytes.join(","))
    });
    let wanted = rotated.chain([MARKER.to_owned(), "10.9.8.7".to_owned()]);
    wanted.filter_map(|w| json.find(&w)).map(around).collect()
}

#[test]
fn redacted_samples_have_no_text_and_no_address_of_the_original() {
    let redactor = Redactor::new().unwrap();
    let mut found = 0;
    for seed in 0..SAMPLES {
        let mut sample = marked_sample(seed);
        found += marked(&sample).len();
        redactor.sample(&mut sample);
        let frame = Encoder::new().frame(&sample, None).unwrap();
        let payload = zstd::stream::decode_all(&frame[HEADER_LEN..]).unwrap();
        let has = |wanted: &[u8]| payload.windows(wanted.len()).any(|w| w == wanted);
        assert!(!has(MARKER.as_bytes()) && !has(&MARKED), "seed {seed}: {:?}", marked(&sample));
        let mut decoder = Decoder::new();
        let back = read(&mut decoder, &frame).unwrap();
        assert!(back.redacted);
        assert_eq!(marked(back), Vec::<String>::new(), "seed {seed}");
    }
    assert!(found > SAMPLES as usize, "{found}");
}

/// Parts of a redacted sample still refer to each other: as much is derived from it as from the original.
#[test]
fn redacted_demo_has_the_same_containers_forwards_and_peers() {
    use std::collections::BTreeSet;
    let redactor = Redactor::new().unwrap();
    for name in ["busy-web", "kubernetes"] {
        let Some(scenario) = Scenario::named(name) else { continue };
        let mut source = ScenarioSource::new(scenario);
        let (mut engine, mut redacted) = (Engine::new(), Engine::new());
        let needs = Needs::FINDINGS | Needs::LIMITS | Needs::NAT | Needs::DNS | Needs::RATES;
        let wants = Wants::new(needs, ProtoSet::ALL).with(Reads::CGROUPS);
        for _ in 0..5 {
            let sample = source.sample(&wants).unwrap();
            let mut hidden = sample.clone();
            redactor.sample(&mut hidden);
            let (a, b) = (engine.step(sample), redacted.step(hidden));
            let peers = |s: &Sample| s.sockets.iter().map(|s| s.remote.addr).collect::<BTreeSet<_>>().len();
            assert_eq!(peers(&a.sample), peers(&b.sample));
            let forwards = |s: &Snapshot| s.forwards.as_ref().map_or(0, |f| f.rows.len());
            assert_eq!(forwards(&a), forwards(&b));
            assert_eq!(a.states, b.states);
            assert_eq!(a.alerts.len(), b.alerts.len());
            assert_eq!(a.sample.containers.len(), b.sample.containers.len());
            let json = serde_json::to_string(&b.sample).unwrap();
            for secret in [&*a.sample.host, "--config"] {
                assert!(!json.contains(secret), "{secret}");
            }
        }
    }
}
