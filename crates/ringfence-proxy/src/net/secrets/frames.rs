//! What a client says over a websocket, looked at as it passes: the payload of its frames without their
//! masks (RFC 6455, section 5), and, in case it is no frames, the bytes as they are.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::Watch;

/// The flag of a masked payload, beside its length.
const MASKED: u8 = 0x80;
/// The flag of control frames, which may come between the frames of one message.
const CONTROL: u8 = 0x08;

/// A client's side of a websocket; reading it fails once there is a stand-in in it that may not be.
pub(in crate::net) struct Watched<S> {
    stream: S,
    frames: Frames,
    /// Of the messages, of what is said between them, and of the bytes as they are.
    messages: Watch,
    control: Watch,
    plain: Watch,
}

impl<S> Watched<S> {
    pub(in crate::net) fn new(stream: S, watch: &Watch) -> Watched<S> {
        let (messages, control, plain) = (watch.again(), watch.again(), watch.again());
        Watched { stream, frames: Frames::default(), messages, control, plain }
    }
}

/// Takes frames apart, in whatever pieces they come.
#[derive(Debug, Default)]
struct Frames {
    /// Of the next frame's head, as far as it came.
    head: Vec<u8>,
    /// How much of the payload is still to come.
    left: u64,
    mask: [u8; 4],
    /// The next byte's place in the mask.
    turn: usize,
    kind: Kind,
}

/// What a frame's payload is a part of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Kind {
    #[default]
    Message,
    Control,
}

/// Payloads, unmasked.
#[derive(Debug, Default, PartialEq, Eq)]
struct Payloads {
    messages: Vec<u8>,
    control: Vec<u8>,
}

impl Frames {
    fn read(&mut self, mut bytes: &[u8]) -> Payloads {
        let mut found = Payloads::default();
        while let Some((first, rest)) = bytes.split_first() {
            if self.left == 0 {
                self.head.push(*first);
                self.begin();
                bytes = rest;
                continue;
            }
            let most = usize::try_from(self.left).unwrap_or(usize::MAX);
            let (payload, rest) = bytes.split_at(most.min(bytes.len()));
            let into = match self.kind {
                Kind::Message => &mut found.messages,
                Kind::Control => &mut found.control,
            };
            for byte in payload {
                into.push(byte ^ self.mask.get(self.turn % 4).copied().unwrap_or_default());
                self.turn = (self.turn + 1) % 4;
            }
            self.left = self.left.saturating_sub(payload.len() as u64);
            bytes = rest;
        }
        found
    }

    /// Begins a payload, once its head is whole.
    fn begin(&mut self) {
        let Some([flags, short, rest @ ..]) = self.head.get(..) else { return };
        let (length, rest) = match short & !MASKED {
            126 => {
                let Some((length, rest)) = rest.split_first_chunk() else { return };
                (u64::from(u16::from_be_bytes(*length)), rest)
            }
            127 => {
                let Some((length, rest)) = rest.split_first_chunk() else { return };
                (u64::from_be_bytes(*length), rest)
            }
            short => (u64::from(short), rest),
        };
        self.mask = match (short & MASKED, rest.first_chunk()) {
            (0, _) => [0; 4],
            (_, Some(mask)) => *mask,
            (_, None) => return,
        };
        self.kind = if flags & CONTROL == 0 { Kind::Message } else { Kind::Control };
        (self.left, self.turn) = (length, 0);
        self.head.clear();
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        let polled = Pin::new(&mut this.stream).poll_read(context, buffer);
        if let Poll::Ready(Ok(())) = &polled {
            let came = buffer.filled().get(before..).unwrap_or_default();
            let Payloads { messages, control } = this.frames.read(came);
            let seen = this
                .messages
                .look_at(&messages)
                .and_then(|()| this.control.look_at(&control))
                .and_then(|()| this.plain.look_at(came));
            if let Err(stopped) = seen {
                // None of it goes on.
                buffer.set_filled(before);
                return Poll::Ready(Err(io::Error::other(stopped)));
            }
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(context, buffer)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::{Frames, Payloads};

    /// A frame as clients send it.
    fn frame(flags: u8, payload: &[u8]) -> Vec<u8> {
        let mask = [7, 130, 0, 255];
        let mut frame = vec![flags];
        match payload.len() {
            short @ 0..126 => frame.push(0x80 | u8::try_from(short).unwrap()),
            long @ 126..65_536 => {
                frame.push(0x80 | 0x7e);
                frame.extend(u16::try_from(long).unwrap().to_be_bytes());
            }
            longer => {
                frame.push(0x80 | 0x7f);
                frame.extend((longer as u64).to_be_bytes());
            }
        }
        frame.extend(mask);
        frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        frame
    }

    fn read_in_pieces_of(size: usize, sent: &[u8]) -> Payloads {
        let (mut frames, mut all) = (Frames::default(), Payloads::default());
        for piece in sent.chunks(size) {
            let Payloads { messages, control } = frames.read(piece);
            all.messages.extend(messages);
            all.control.extend(control);
        }
        all
    }

    #[test]
    fn a_message_is_read_in_whatever_frames_and_pieces_it_comes() {
        let long = vec![b'x'; 70_000];
        // Fragments with a ping between them, an empty one, lengths of all three forms, no mask.
        let sent = [
            frame(0x01, b"stand"),
            frame(0x89, b"ping"),
            frame(0x00, b""),
            frame(0x80, b"-in "),
            frame(0x82, &long[..300]),
            frame(0x82, &long),
            vec![0x81, 3, b'e', b'n', b'd'],
        ]
        .concat();
        let messages = [&b"stand-in "[..], &long[..300], &long, b"end"].concat();
        for size in [1, 2, 3, 7, 4096, sent.len()] {
            let all = read_in_pieces_of(size, &sent);
            assert!(all.messages == messages, "in pieces of {size}");
            assert_eq!(all.control, b"ping");
        }
    }

    #[test]
    fn what_is_no_frame_costs_no_memory() {
        let mut frames = Frames::default();
        for _ in 0..100 {
            frames.read(&[255; 1000]);
            // Flags, a length of eight bytes, a mask.
            assert!(frames.head.len() < 14);
        }
    }
}
