//! A profile's rules as the classic BPF the kernel runs.

use super::profile::{Answer, Is, Rule};
use crate::sys::seccomp::Instruction;

/// `BPF_LD | BPF_W | BPF_ABS`.
pub(super) const LOAD: u16 = 0x20;
/// `BPF_ALU | BPF_AND | BPF_K`.
pub(super) const AND: u16 = 0x54;
/// `BPF_JMP | BPF_JEQ | BPF_K`.
pub(super) const JUMP_EQUAL: u16 = 0x15;
/// `BPF_JMP | BPF_JGE | BPF_K`.
pub(super) const JUMP_AT_LEAST: u16 = 0x35;
/// `BPF_JMP | BPF_JSET | BPF_K`.
pub(super) const JUMP_ANY_BIT: u16 = 0x45;
/// `BPF_RET | BPF_K`.
pub(super) const RETURN: u16 = 0x06;

/// Where the system call's number is in `struct seccomp_data`.
pub(super) const NUMBER_AT: u32 = 0;
/// Where the architecture is.
pub(super) const ARCH_AT: u32 = 4;
/// Where the first argument is; each has 8 bytes, the low half first on x86-64.
pub(super) const ARGS_AT: u32 = 16;

/// `AUDIT_ARCH_X86_64`.
pub(super) const ARCH_X86_64: u32 = 0xc000_003e;
/// `__X32_SYSCALL_BIT`: calls of the x32 ABI, which share the architecture's name.
pub(super) const X32_BIT: u32 = 0x4000_0000;

/// The filter that answers by the first rule that matches; what none matches is allowed.
///
/// Rules are tried in order, so the frequent calls whose arguments matter come first. Calls that
/// no rule's arguments are about are answered from the kernel's own bitmap and never run this.
/// `asked` is what has somebody outside answer.
pub(super) fn compile(rules: &[Rule], number_max: u32, asked: u32) -> Vec<Instruction> {
    let answer = |given| answer(given, asked);
    let mut out = vec![
        load(ARCH_AT),
        jump(JUMP_EQUAL, ARCH_X86_64, 1, 0),
        answer(Answer::Kill),
        load(NUMBER_AT),
        jump(JUMP_AT_LEAST, X32_BIT, 0, 1),
        answer(Answer::Kill),
        // Calls that are younger than this profile do not exist in a world.
        jump(JUMP_AT_LEAST, number_max.saturating_add(1), 0, 1),
        answer(Answer::Errno(libc::ENOSYS)),
    ];
    for rule in rules {
        emit(rule, asked, &mut out);
    }
    out.push(answer(Answer::Allow));
    out
}

/// One rule; behind it the accumulator holds the number again.
fn emit(rule: &Rule, asked: u32, out: &mut Vec<Instruction>) {
    let mut body = vec![answer(rule.answer, asked)];
    // From the last test to the first, so that each knows how far the end of the rule is.
    for test in rule.when.iter().rev() {
        let skip = u8::try_from(body.len()).unwrap_or(u8::MAX);
        let comparison = match test.is {
            Is::Equal(value) => jump(JUMP_EQUAL, value, 0, skip),
            Is::Not(value) => jump(JUMP_EQUAL, value, skip, 0),
            Is::AnyBitOf(bits) => jump(JUMP_ANY_BIT, bits, 0, skip),
        };
        body.splice(0..0, [load(low_half(test.arg)), masked(test.mask), comparison]);
    }
    if !rule.when.is_empty() {
        body.push(load(NUMBER_AT));
    }
    let skip = u8::try_from(body.len()).unwrap_or(u8::MAX);
    out.push(jump(JUMP_EQUAL, rule.number, 0, skip));
    out.extend(body);
}

/// The offset of an argument's low half: what the kernel looks at in every argument tested here,
/// all of which it takes as 32-bit (comparing 64 bits let CVE-2019-10063 through).
fn low_half(arg: u32) -> u32 {
    ARGS_AT + 8 * arg
}

fn load(at: u32) -> Instruction {
    Instruction { code: LOAD, jump_true: 0, jump_false: 0, operand: at }
}

fn masked(mask: u32) -> Instruction {
    Instruction { code: AND, jump_true: 0, jump_false: 0, operand: mask }
}

fn jump(code: u16, operand: u32, jump_true: u8, jump_false: u8) -> Instruction {
    Instruction { code, jump_true, jump_false, operand }
}

fn answer(answer: Answer, asked: u32) -> Instruction {
    let errno = |errno: i32| u32::try_from(errno).unwrap_or(0) & libc::SECCOMP_RET_DATA;
    let operand = match answer {
        Answer::Allow => libc::SECCOMP_RET_ALLOW,
        Answer::Kill => libc::SECCOMP_RET_KILL_PROCESS,
        Answer::Notify => asked,
        Answer::Errno(number) => libc::SECCOMP_RET_ERRNO | errno(number),
    };
    Instruction { code: RETURN, jump_true: 0, jump_false: 0, operand }
}
