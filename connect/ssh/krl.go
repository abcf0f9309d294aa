package ssh

import (
	"bytes"
	"crypto/sha1"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/big"

	"golang.org/x/crypto/ssh"
)

// A key revocation list is a file of `ssh-keygen -k` (PROTOCOL.krl of OpenSSH). It has a header
// and sections, each a type and a string. It is parsed for each key, so that memory only has the
// bytes of the file.
//
// An unknown entry is an error, since it may be the one that revokes the key.

const krlMagic = "SSHKRL\n\x00"

// The types of sections, and of those within a section of certificates.
const (
	krlCertificates      = 1
	krlExplicitKey       = 2
	krlFingerprintSHA1   = 3
	krlSignature         = 4
	krlFingerprintSHA256 = 5
	krlExtension         = 255

	krlSerialList    = 0x20
	krlSerialRange   = 0x21
	krlSerialBitmap  = 0x22
	krlKeyID         = 0x23
	krlCertExtension = 0x39
)

// maxSerialBitmap is the longest bitmap of serial numbers that OpenSSH takes, in bits.
const maxSerialBitmap = 0x4000000

var errKRLShort = errors.New("the key revocation list is cut short")

// krlReader reads values of a list in order. If one is missing, it and all later ones are zero,
// and err is set.
type krlReader struct {
	rest []byte
	err  error
}

func (r *krlReader) more() bool { return r.err == nil && len(r.rest) > 0 }

func (r *krlReader) take(n uint64) []byte {
	if r.err != nil || n > uint64(len(r.rest)) {
		r.err = errKRLShort
		return nil
	}
	value := r.rest[:n]
	r.rest = r.rest[n:]
	return value
}

func (r *krlReader) number(size uint64) (n uint64) {
	for _, b := range r.take(size) {
		n = n<<8 | uint64(b)
	}
	return n
}

func (r *krlReader) string() []byte { return r.take(r.number(4)) }

// isKRL reports whether a file is a key revocation list.
func isKRL(text []byte) bool { return bytes.HasPrefix(text, []byte(krlMagic)) }

// krlRevokes returns the kind of entry that revokes a key, "" if none does.
func krlRevokes(text []byte, key ssh.PublicKey) (string, error) {
	cert, _ := key.(*ssh.Certificate)
	plain := make([]krlKey, 0, 2)
	for _, k := range keysOf(key) {
		plain = append(plain, newKRLKey(k))
	}

	r := &krlReader{rest: text[len(krlMagic):]}
	if version := r.number(4); r.err == nil && version != 1 {
		return "", fmt.Errorf("%w: the key revocation list has format %d", errors.ErrUnsupported, version)
	}
	r.take(3 * 8) // version, date and flags: no flag is defined
	r.string()    // reserved
	r.string()    // a comment
	found := ""
	for r.more() {
		kind := r.number(1)
		section := &krlReader{rest: r.string()}
		if r.err != nil {
			break
		}
		reason, err := section.section(kind, plain, cert)
		if err != nil {
			return "", err
		}
		if found == "" {
			found = reason
		}
	}
	return found, r.err
}

// krlKey is a key in the three forms in which it may be listed.
type krlKey struct{ blob, sha1, sha256 []byte }

func newKRLKey(key ssh.PublicKey) krlKey {
	blob := key.Marshal()
	short, long := sha1.Sum(blob), sha256.Sum256(blob)
	return krlKey{blob, short[:], long[:]}
}

func (r *krlReader) section(kind uint64, keys []krlKey, cert *ssh.Certificate) (string, error) {
	var form func(krlKey) []byte
	var name string
	switch kind {
	case krlCertificates:
		return r.certificates(cert)
	case krlExplicitKey:
		form, name = func(k krlKey) []byte { return k.blob }, "a key"
	case krlFingerprintSHA1:
		form, name = func(k krlKey) []byte { return k.sha1 }, "a SHA-1 fingerprint"
	case krlFingerprintSHA256:
		form, name = func(k krlKey) []byte { return k.sha256 }, "a SHA-256 fingerprint"
	case krlExtension:
		return "", r.extension()
	case krlSignature:
		return "", fmt.Errorf("%w: the key revocation list is signed, and nothing says by whom", errors.ErrUnsupported)
	default:
		return "", fmt.Errorf("%w: the key revocation list has a section of type %d", errors.ErrUnsupported, kind)
	}
	found := ""
	for r.more() {
		entry := r.string()
		for _, key := range keys {
			if r.err == nil && bytes.Equal(entry, form(key)) {
				found = name
			}
		}
	}
	return found, r.err
}

// extension skips an extension, which must not be critical.
func (r *krlReader) extension() error {
	name, critical := r.string(), r.number(1)
	r.string()
	if r.err == nil && critical != 0 {
		return fmt.Errorf("%w: the key revocation list has the extension %q", errors.ErrUnsupported, name)
	}
	return r.err
}

// certificates reads a section about certificates of one authority, or of any.
func (r *krlReader) certificates(cert *ssh.Certificate) (string, error) {
	authority := r.string()
	r.string() // reserved
	concerned := cert != nil && (len(authority) == 0 || bytes.Equal(authority, cert.SignatureKey.Marshal()))
	var serial uint64
	var identity string
	if concerned {
		serial, identity = cert.Serial, cert.KeyId
	}
	found := ""
	for r.more() {
		kind := r.number(1)
		list := &krlReader{rest: r.string()}
		if r.err != nil {
			break
		}
		hit := false
		name := "its serial number"
		switch kind {
		case krlSerialList:
			for list.more() {
				hit = list.number(8) == serial || hit
			}
		case krlSerialRange:
			low, high := list.number(8), list.number(8)
			hit = low <= serial && serial <= high
		case krlSerialBitmap:
			offset, bits := list.number(8), list.string()
			if len(bits) > maxSerialBitmap/8+1 {
				return "", fmt.Errorf("%w: a bitmap of %d bytes in the key revocation list", errors.ErrUnsupported, len(bits))
			}
			at := serial - offset
			hit = serial >= offset && at < maxSerialBitmap && new(big.Int).SetBytes(bits).Bit(int(at)) == 1
		case krlKeyID:
			name = "the identity of its certificate"
			for list.more() {
				hit = string(list.string()) == identity || hit
			}
		case krlCertExtension:
			list.err = list.extension()
		default:
			return "", fmt.Errorf("%w: the key revocation list has a section of certificates of type %#x", errors.ErrUnsupported, kind)
		}
		if list.err != nil {
			return "", list.err
		}
		// Serial number 0 is that of an authority that does not count.
		if hit && concerned && (kind == krlKeyID || serial != 0) {
			found = name
		}
	}
	return found, r.err
}
