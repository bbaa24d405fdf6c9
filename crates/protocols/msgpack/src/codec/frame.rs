//! pymprpc frames: a body, then an end mark that a value may hold as well.

use std::sync::LazyLock;

use super::fields::Fields;
use super::json;
use super::value;
use super::{Bounds, Error};
use crate::state::{Format, Mode, Telnet};
use memchr::memmem::Finder;

/// What ends every frame.
pub(crate) const MARK: &[u8] = b"##PRO-END##";

/// End marks within one frame up to which a body is read from its beginning each time. Compressed
/// bodies hold a mark by chance only, and those of a client behind a telnet layer seldom.
const MARKS_TRIED: usize = 16;

static FINDER: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(MARK));

/// Where the first end mark is.
pub(crate) fn find_mark(bytes: &[u8]) -> Option<usize> {
    FINDER.find(bytes)
}

/// Finds and reads frames at the front of the input. Each byte is looked at a fixed number of
/// times, in whatever pieces it comes and however many marks there are.
#[derive(Debug, Default)]
pub(crate) struct Frames {
    searched: usize,
    marks: usize,
    json: json::Scan,
    packed: value::Scan,
}

impl Frames {
    /// Where the next end mark is that was not passed; the body is what stands before it.
    pub(crate) fn mark(&mut self, input: &[u8]) -> Option<usize> {
        let unsearched = input.get(self.searched..).unwrap_or_default();
        if let Some(at) = find_mark(unsearched) {
            return Some(self.searched + at);
        }
        self.searched = self.searched.max(input.len().saturating_sub(MARK.len() - 1));
        None
    }

    /// Goes on behind a mark that is part of a value.
    pub(crate) fn pass(&mut self, mark: usize) {
        self.searched = mark + 1;
        self.marks += 1;
    }

    /// Begins anew, after a frame was taken off the input.
    pub(crate) fn taken(&mut self) {
        *self = Self::default();
    }

    /// Whether a body may be read from its beginning once more.
    pub(crate) fn may_retry(&self) -> Result<(), Error> {
        if self.marks < MARKS_TRIED {
            return Ok(());
        }
        Err(Error::TooLarge("a packed message holds too many end marks"))
    }

    /// Reads a body that is not compressed. [`Error::Incomplete`] means that the mark behind it
    /// stands in a value.
    pub(crate) fn read(
        &mut self,
        body: &[u8],
        mode: &mut Mode,
        bounds: Bounds,
    ) -> Result<Fields, Error> {
        if mode.format() == Format::Json {
            if self.marks > 0 {
                return if self.json.advance(body) {
                    whole(read_plain(body, Format::Json, bounds))
                } else {
                    Err(Error::Incomplete)
                };
            }
            return read_plain(body, Format::Json, bounds);
        }
        if mode.telnet == Telnet::Yes {
            self.may_retry()?;
            let halved = halve(body).ok_or(Error::Malformed("a single ff behind telnet"))?;
            return Fields::from_packed(&halved, bounds);
        }
        let read = if self.marks == 0 {
            Fields::from_packed(body, bounds)
        } else if self.packed.advance(body)? {
            whole(Fields::from_packed(body, bounds))
        } else {
            Err(Error::Incomplete)
        };
        if mode.telnet != Telnet::Unknown || self.marks > 0 {
            return read;
        }
        self.decide_telnet(body, mode, bounds, read)
    }

    /// The first frame with an `ff` in it tells whether the client sends each twice.
    fn decide_telnet(
        &self,
        body: &[u8],
        mode: &mut Mode,
        bounds: Bounds,
        read: Result<Fields, Error>,
    ) -> Result<Fields, Error> {
        if read.is_ok() {
            if memchr::memchr(TELNET_COMMAND, body).is_some() {
                mode.telnet = Telnet::No;
            }
            return read;
        }
        let Some(halved) = halve(body).filter(|halved| halved.len() < body.len()) else {
            return read;
        };
        let halved = Fields::from_packed(&halved, bounds);
        if halved.is_ok() {
            mode.telnet = Telnet::Yes;
            return halved;
        }
        read
    }
}

/// A body that the scan has found to be whole is not waiting for more.
fn whole(read: Result<Fields, Error>) -> Result<Fields, Error> {
    read.map_err(|error| match error {
        Error::Incomplete => Error::Malformed("a message is no document"),
        error => error,
    })
}

/// Reads an uncompressed body of either format from its beginning.
pub(crate) fn read_plain(body: &[u8], format: Format, bounds: Bounds) -> Result<Fields, Error> {
    match format {
        Format::Json => json::read(body, bounds).and_then(Fields::from_map),
        Format::Packed => Fields::from_packed(body, bounds),
    }
}

/// Begins a telnet command; a telnet layer sends it twice where it is data.
const TELNET_COMMAND: u8 = 0xff;

/// Makes one `ff` of each two; `None` where one stands alone.
fn halve(body: &[u8]) -> Option<Vec<u8>> {
    let mut halved = Vec::with_capacity(body.len());
    let mut rest = body;
    while let Some(at) = memchr::memchr(TELNET_COMMAND, rest) {
        let (before, from) = rest.split_at_checked(at)?;
        rest = from.strip_prefix(&[TELNET_COMMAND, TELNET_COMMAND])?;
        halved.extend_from_slice(before);
        halved.push(TELNET_COMMAND);
    }
    halved.extend_from_slice(rest);
    Some(halved)
}

/// Makes two `ff` of each.
fn double(body: &[u8]) -> Vec<u8> {
    let mut doubled = Vec::with_capacity(body.len() + body.len() / 8);
    for byte in body {
        doubled.push(*byte);
        if *byte == TELNET_COMMAND {
            doubled.push(*byte);
        }
    }
    doubled
}

/// Ends the frame whose body stands in the output from `start` on.
///
/// # Errors
/// When the body holds an end mark that cannot be written otherwise. The body is taken off again.
pub(crate) fn seal(out: &mut Vec<u8>, start: usize, mode: &Mode) -> Result<(), &'static str> {
    let body = out.get(start..).unwrap_or_default();
    if find_mark(body).is_some() {
        if mode.format() != Format::Json || mode.compression.is_some() {
            out.truncate(start);
            return Err("it holds the end mark of a frame");
        }
        let escaped = json::escape_marks(body);
        out.truncate(start);
        out.extend_from_slice(&escaped);
    } else if mode.telnet == Telnet::Yes {
        let doubled = double(body);
        out.truncate(start);
        // Nothing can bring these through to pymprpc's sync client, which only its JSON mode suits.
        if memchr::memchr2(0x00, 0x11, &doubled).is_some() {
            return Err("it has a byte 00 or 11, which the client's telnet layer drops");
        }
        out.extend_from_slice(&doubled);
    }
    out.extend_from_slice(MARK);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use polyport_core::Value;

    const BOUNDS: Bounds = Bounds { depth: 10, values: 1000 };

    fn mode(first: u8) -> Mode {
        Mode::detect(first).unwrap()
    }

    /// Feeds the input piece by piece and gives all that was read.
    fn feed(mode: &mut Mode, pieces: &[&[u8]]) -> Result<Vec<Value>, Error> {
        let (mut frames, mut input, mut read) = (Frames::default(), Vec::new(), Vec::new());
        for piece in pieces {
            input.extend_from_slice(piece);
            while let Some(mark) = frames.mark(&input) {
                match frames.read(&input[..mark], mode, BOUNDS) {
                    Ok(fields) => {
                        read.push(fields.args);
                        input.drain(..mark + MARK.len());
                        frames.taken();
                    }
                    Err(Error::Incomplete) => frames.pass(mark),
                    Err(error) => return Err(error),
                }
            }
        }
        assert!(input.is_empty(), "left over: {input:?}");
        Ok(read)
    }

    /// A frame with this in its field `ARGS`.
    fn packed(args: &Value) -> Vec<u8> {
        let mut out = Vec::new();
        value::append(&mut out, &Value::map([("ARGS", args.clone())]), true).unwrap();
        [&out, MARK].concat()
    }

    fn written(args: &Value) -> Vec<u8> {
        let map = Value::map([("ARGS", args.clone())]);
        [&polyport_core::json::to_vec(&map)[..], MARK].concat()
    }

    #[test]
    fn frames_come_out_whole_wherever_the_input_is_cut() {
        let text = "x##PRO-END##y##PRO-END##PRO-END##";
        let want = Value::List(vec![text.into(), Value::Int(1)]);
        for bytes in [written(&want), packed(&want)] {
            let twice = [&bytes[..], &bytes].concat();
            for cut in 0..twice.len() {
                let mut mode = mode(twice[0]);
                let read = feed(&mut mode, &[&twice[..cut], &twice[cut..]]);
                assert_eq!(read, Ok(vec![want.clone(), want.clone()]), "cut at {cut}");
            }
        }
    }

    #[test]
    fn a_text_that_ends_like_a_mark_does_not_hide_the_mark() {
        let want = Value::from("x##PRO-END");
        assert_eq!(feed(&mut mode(0x81), &[&packed(&want)]), Ok(vec![want]));
    }

    #[test]
    fn bytes_behind_the_message_are_malformed() {
        let bytes = [b"\x80\x01", MARK].concat();
        assert!(matches!(feed(&mut mode(0x80), &[&bytes]), Err(Error::Malformed(_))));
        let bytes = [b"{}{}", MARK].concat();
        assert!(matches!(feed(&mut mode(b'{'), &[&bytes]), Err(Error::Malformed(_))));
        let balanced = [b"{\"a\": \"", MARK, b"\", ]]}", MARK].concat();
        assert!(matches!(feed(&mut mode(b'{'), &[&balanced]), Err(Error::Malformed(_))));
    }

    #[test]
    fn a_text_of_a_million_marks_is_read_in_one_pass() {
        let want = Value::from("##PRO-END##".repeat(200_000));
        for bytes in [written(&want), packed(&want)] {
            let began = std::time::Instant::now();
            assert_eq!(feed(&mut mode(bytes[0]), &[&bytes]), Ok(vec![want.clone()]));
            assert!(began.elapsed().as_secs() < 5);
        }
    }

    #[test]
    fn a_client_behind_a_telnet_layer_is_recognised_by_its_first_ff() {
        let call = Value::List(vec![Value::Int(-1), Value::Int(255)]);
        let sent = [double(&packed(&call)), double(&packed(&call))].concat();
        for cut in 0..sent.len() {
            let mut mode = mode(0x81);
            let read = feed(&mut mode, &[&sent[..cut], &sent[cut..]]);
            assert_eq!(read, Ok(vec![call.clone(), call.clone()]));
            assert_eq!(mode.telnet, Telnet::Yes);
            let mut out = vec![0x91, 0xff];
            seal(&mut out, 0, &mode).unwrap();
            assert_eq!(out, [b"\x91\xff\xff", MARK].concat());
            assert!(seal(&mut vec![0x91, 0x11], 0, &mode).is_err());
        }
        let mut plain = mode(0x81);
        assert_eq!(feed(&mut plain, &[&packed(&call)]), Ok(vec![call]));
        assert_eq!(plain.telnet, Telnet::No);
    }

    #[test]
    fn a_mark_in_an_answer_is_escaped_in_json_and_refused_elsewhere() {
        let mut out = b"before{\"a\": \"##PRO-END##\"}".to_vec();
        seal(&mut out, 6, &mode(b'{')).unwrap();
        let want = [br#"before{"a": "\u0023\u0023PRO-END\u0023\u0023"}"#, MARK].concat();
        assert_eq!(out, want);
        let mut out = [b"before\xab", MARK].concat();
        assert!(seal(&mut out, 6, &mode(0x81)).is_err());
        assert_eq!(out, b"before");
    }

    #[test]
    fn packed_frames_are_not_read_anew_for_ever() {
        let mut frames = Frames::default();
        for mark in 0..MARKS_TRIED {
            assert_eq!(frames.may_retry(), Ok(()));
            frames.pass(mark);
        }
        assert!(frames.may_retry().is_err());
    }
}
