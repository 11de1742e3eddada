//! The tree against RFC 6962, section 2.1, written down naively.

use ringfence_log::tree::{self, Hash, Tree};
use sha2::{Digest, Sha256};

/// MTH(D[n]) as the RFC defines it.
fn mth(data: &[Vec<u8>]) -> Hash {
    match data {
        [] => Sha256::digest(b"").into(),
        [one] => Sha256::digest([&[0_u8], one.as_slice()].concat()).into(),
        many => {
            let k = split(many.len());
            let (left, right) = (mth(&many[..k]), mth(&many[k..]));
            Sha256::digest([&[1_u8][..], &left, &right].concat()).into()
        }
    }
}

/// PATH(m, D[n]) as the RFC defines it.
fn path(m: usize, data: &[Vec<u8>]) -> Vec<Hash> {
    if data.len() <= 1 {
        return Vec::new();
    }
    let k = split(data.len());
    let (mut proof, last) = if m < k {
        (path(m, &data[..k]), mth(&data[k..]))
    } else {
        (path(m - k, &data[k..]), mth(&data[..k]))
    };
    proof.push(last);
    proof
}

/// SUBPROOF(m, D[n], b) as the RFC defines it.
fn subproof(m: usize, data: &[Vec<u8>], whole: bool) -> Vec<Hash> {
    if m == data.len() {
        return if whole { Vec::new() } else { vec![mth(data)] };
    }
    let k = split(data.len());
    let (mut proof, last) = if m <= k {
        (subproof(m, &data[..k], whole), mth(&data[k..]))
    } else {
        (subproof(m - k, &data[k..], false), mth(&data[..k]))
    };
    proof.push(last);
    proof
}

fn split(n: usize) -> usize {
    let mut k = 1;
    while k * 2 < n {
        k *= 2;
    }
    k
}

fn data(n: usize) -> Vec<Vec<u8>> {
    (0..n).map(|number| vec![u8::try_from(number).unwrap(); number % 7]).collect()
}

fn leaves(data: &[Vec<u8>]) -> Vec<Hash> {
    data.iter().map(|leaf| tree::leaf_hash(leaf)).collect()
}

#[test]
fn the_growing_tree_has_the_roots_of_the_rfc() {
    let (all, mut growing) = (data(130), Tree::new());
    assert_eq!(growing.root(), mth(&[]));
    for n in 1..=all.len() {
        growing.push(tree::leaf_hash(&all[n - 1]));
        assert_eq!((growing.size(), growing.root()), (n as u64, mth(&all[..n])), "{n} leaves");
    }
}

#[test]
fn the_known_root_of_the_certificate_transparency_test_vectors_comes_out() {
    let hex = |text: &str| -> Vec<u8> {
        (0..text.len() / 2)
            .map(|at| u8::from_str_radix(&text[2 * at..][..2], 16).unwrap())
            .collect()
    };
    let inputs = [
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    ];
    let leaves: Vec<Hash> = inputs.iter().map(|text| tree::leaf_hash(&hex(text))).collect();
    let root = hex("5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328");
    assert_eq!(tree::root_of(&leaves).to_vec(), root);
}

#[test]
fn inclusion_proofs_are_those_of_the_rfc_and_prove_nothing_else() {
    for n in 1..=33 {
        let (all, hashes) = (data(n), leaves(&data(n)));
        let root = mth(&all);
        for m in 0..n {
            let proof = tree::inclusion_proof(&hashes, m).unwrap();
            assert_eq!(proof, path(m, &all));
            let (size, index) = (n as u64, m as u64);
            assert!(tree::includes(&root, size, index, &hashes[m], &proof));
            assert!(!tree::includes(&root, size, index, &[7; 32], &proof));
            assert!(!tree::includes(&[7; 32], size, index, &hashes[m], &proof));
            assert!(!tree::includes(&root, size, size, &hashes[m], &proof));
            if let Some((_, shorter)) = proof.split_last() {
                assert!(!tree::includes(&root, size, index, &hashes[m], shorter));
            }
            let longer = [proof.as_slice(), &[[7; 32]]].concat();
            assert!(!tree::includes(&root, size, index, &hashes[m], &longer));
        }
        assert_eq!(tree::inclusion_proof(&hashes, n), None);
    }
}

#[test]
fn consistency_proofs_are_those_of_the_rfc_and_prove_nothing_else() {
    for n in 1..=33 {
        let (all, hashes) = (data(n), leaves(&data(n)));
        let new_root = mth(&all);
        for m in 1..=n {
            let (old_root, proof) = (mth(&all[..m]), tree::consistency_proof(&hashes, m).unwrap());
            assert_eq!(proof, subproof(m, &all, true));
            let (old, new) = (m as u64, n as u64);
            assert!(tree::extends((old, &old_root), (new, &new_root), &proof));
            assert!(!tree::extends((old, &[7; 32]), (new, &new_root), &proof));
            assert!(!tree::extends((old, &old_root), (new, &[7; 32]), &proof));
            assert!(!tree::extends((old, &old_root), (old - 1, &new_root), &proof));
            let longer = [proof.as_slice(), &[[7; 32]]].concat();
            assert!(!tree::extends((old, &old_root), (new, &new_root), &longer));
        }
        assert_eq!(tree::consistency_proof(&hashes, n + 1), None);
        assert_eq!(tree::consistency_proof(&hashes, 0), None);
    }
}
