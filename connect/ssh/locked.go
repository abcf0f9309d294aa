package ssh

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/des"
	"crypto/pbkdf2"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"fmt"
	"hash"
	"strings"

	//lint:ignore SA1019 OpenSSH derives the keys of its key files by it
	"golang.org/x/crypto/blowfish"
	"golang.org/x/crypto/chacha20"
	"golang.org/x/crypto/ssh"
)

// x/crypto/ssh opens OpenSSH's keys of two ciphers, and the old PEM. This file opens those of the
// other ciphers of `ssh-keygen -Z`, and PKCS #8 (`ssh-keygen -m PKCS8`).

const (
	openSSHKey = "OPENSSH PRIVATE KEY"
	openSSHTag = "openssh-key-v1\x00"
	pkcs8Key   = "ENCRYPTED PRIVATE KEY"
	// maxRounds bounds bcrypt's rounds, and maxIterations those of PBKDF2: a key
	// file could keep us busy for months. They are some seconds of work; the usual
	// numbers are 16 to 24, and 2048.
	maxRounds     = 2048
	maxIterations = 10_000_000
)

// openSSHFile is a key file of OpenSSH (PROTOCOL.key).
type openSSHFile struct {
	Cipher  string
	KDF     string
	Options string
	Keys    uint32
	Public  []byte
	Private []byte
	Rest    []byte `ssh:"rest"` // the authentication tag of some ciphers
}

func parseOpenSSHFile(block *pem.Block) (*openSSHFile, error) {
	data, ok := bytes.CutPrefix(block.Bytes, []byte(openSSHTag))
	if !ok {
		return nil, errors.New("it is no key of OpenSSH's, though it says so")
	}
	f := new(openSSHFile)
	return f, ssh.Unmarshal(data, f)
}

// errNoPrivateHalf: a key file has no private half.
var errNoPrivateHalf = errors.New("a FIDO key, which needs an agent that has it, or a hop by openssh:HOST")

// lookAtKey returns, without a passphrase, why a private key can't be used; nil if it can. public
// is its public half, nil if that is not known.
func lookAtKey(text []byte) (public ssh.PublicKey, err error) {
	block, _ := pem.Decode(text)
	switch {
	case bytes.HasPrefix(text, []byte("PuTTY-User-Key-File")):
		return nil, errors.New("a key of PuTTY's; `puttygen FILE -O private-openssh -o NEW` makes one for ssh of it")
	case block == nil:
		return nil, nil
	case block.Type == pkcs8Key:
		_, err := parsePKCS8(block.Bytes)
		return nil, err
	case block.Type != openSSHKey:
		return nil, nil
	}
	f, err := parseOpenSSHFile(block)
	if err != nil {
		return nil, err
	}
	if public, err = ssh.ParsePublicKey(f.Public); err != nil {
		return nil, nil // the library says more
	}
	if strings.HasPrefix(public.Type(), "sk-") {
		return public, errNoPrivateHalf
	}
	if _, known := openSSHCiphers[f.Cipher]; !known && f.Cipher != "none" {
		return public, unknownCipher(f.Cipher)
	}
	return public, nil
}

func unknownCipher(name string) error {
	return fmt.Errorf("it is encrypted by %s, which is not known here; `ssh-keygen -p -f FILE` writes it anew by another", name)
}

// unlockKey decrypts a private key. A passphrase that does not open it is
// [x509.IncorrectPasswordError].
func unlockKey(text, passphrase []byte) (ssh.Signer, error) {
	if len(passphrase) == 0 {
		return nil, x509.IncorrectPasswordError // bcrypt takes none
	}
	block, _ := pem.Decode(text)
	switch {
	case block != nil && block.Type == pkcs8Key:
		key, err := unlockPKCS8(block.Bytes, passphrase)
		if err != nil {
			return nil, err
		}
		return ssh.NewSignerFromKey(key)
	case block != nil && block.Type == openSSHKey:
		f, err := parseOpenSSHFile(block)
		if err != nil {
			return nil, err
		}
		if c := openSSHCiphers[f.Cipher]; c.decrypt != nil {
			return f.unlock(c, passphrase)
		}
	}
	signer, err := ssh.ParsePrivateKeyWithPassphrase(text, passphrase)
	if err != nil && block != nil && isRubbish(block, passphrase) {
		err = x509.IncorrectPasswordError
	}
	return signer, err
}

// isRubbish reports whether a passphrase decrypts a key of the old PEM to something else than
// a key. Only the padding of these tells, and it is right for one of 256 wrong passphrases.
func isRubbish(block *pem.Block, passphrase []byte) bool {
	//lint:ignore SA1019 the old PEM has no other decryption
	plain, err := x509.DecryptPEMBlock(block, passphrase)
	if err != nil {
		return false
	}
	var key asn1.RawValue
	rest, err := asn1.Unmarshal(plain, &key)
	return err != nil || len(rest) > 0
}

// openSSHCipher is a cipher of key files.
type openSSHCipher struct {
	key, iv int // in bytes
	// decrypt returns the plain text, or an error if key and text don't fit. It may
	// write into data. nil: the library does it.
	decrypt func(key, iv, data, tag []byte) ([]byte, error)
}

// openSSHCiphers are the ciphers of `ssh -Q cipher`, with which `ssh-keygen -Z` encrypts.
var openSSHCiphers = map[string]openSSHCipher{
	"aes256-ctr":                    {},
	"aes256-cbc":                    {},
	"aes128-ctr":                    {16, 16, decryptCTR},
	"aes192-ctr":                    {24, 16, decryptCTR},
	"aes128-cbc":                    {16, 16, decryptAESCBC},
	"aes192-cbc":                    {24, 16, decryptAESCBC},
	"3des-cbc":                      {24, 8, decrypt3DES},
	"aes128-gcm@openssh.com":        {16, 12, decryptGCM},
	"aes256-gcm@openssh.com":        {32, 12, decryptGCM},
	"chacha20-poly1305@openssh.com": {64, 0, decryptChaCha},
}

func decryptCTR(key, iv, data, _ []byte) ([]byte, error) {
	c, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	cipher.NewCTR(c, iv).XORKeyStream(data, data)
	return data, nil
}

func decryptAESCBC(key, iv, data, _ []byte) ([]byte, error) {
	c, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return decryptCBC(c, iv, data)
}

func decrypt3DES(key, iv, data, _ []byte) ([]byte, error) {
	c, err := des.NewTripleDESCipher(key)
	if err != nil {
		return nil, err
	}
	return decryptCBC(c, iv, data)
}

func decryptCBC(c cipher.Block, iv, data []byte) ([]byte, error) {
	if len(data) == 0 || len(data)%c.BlockSize() != 0 || len(iv) != c.BlockSize() {
		return nil, errors.New("the key file is damaged: its encrypted part has an odd length")
	}
	cipher.NewCBCDecrypter(c, iv).CryptBlocks(data, data)
	return data, nil
}

func decryptGCM(key, iv, data, tag []byte) ([]byte, error) {
	c, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	gcm, err := cipher.NewGCM(c)
	if err != nil {
		return nil, err
	}
	plain, err := gcm.Open(nil, iv, append(data[:len(data):len(data)], tag...), nil)
	if err != nil {
		return nil, x509.IncorrectPasswordError
	}
	return plain, nil
}

// decryptChaCha leaves the tag alone: the two equal numbers at the beginning of the
// plain text show a wrong passphrase as they do with the other ciphers. The first half
// of the key is for the text (PROTOCOL.chacha20poly1305), whose first block of key
// stream is the tag's.
func decryptChaCha(key, _, data, _ []byte) ([]byte, error) {
	c, err := chacha20.NewUnauthenticatedCipher(key[:32], make([]byte, chacha20.NonceSize))
	if err != nil {
		return nil, err
	}
	c.SetCounter(1)
	c.XORKeyStream(data, data)
	return data, nil
}

// unlock decrypts the private half, and gives x/crypto/ssh the file as one that is not
// encrypted.
func (f *openSSHFile) unlock(c openSSHCipher, passphrase []byte) (ssh.Signer, error) {
	var options struct {
		Salt   []byte
		Rounds uint32
	}
	if f.KDF != "bcrypt" {
		return nil, unknownCipher("a key made by " + f.KDF)
	}
	if err := ssh.Unmarshal([]byte(f.Options), &options); err != nil {
		return nil, err
	}
	if options.Rounds < 1 || options.Rounds > maxRounds || len(options.Salt) == 0 {
		return nil, fmt.Errorf("its passphrase takes %d rounds of bcrypt, and at most %d are done", options.Rounds, maxRounds)
	}
	derived := bcryptKey(passphrase, options.Salt, int(options.Rounds), c.key+c.iv)
	plain, err := c.decrypt(derived[:c.key], derived[c.key:], bytes.Clone(f.Private), f.Rest)
	if err != nil {
		return nil, err
	}
	if len(plain) < 8 || !bytes.Equal(plain[:4], plain[4:8]) {
		return nil, x509.IncorrectPasswordError
	}
	open := openSSHFile{Cipher: "none", KDF: "none", Keys: f.Keys, Public: f.Public, Private: plain}
	return ssh.ParsePrivateKey(pem.EncodeToMemory(&pem.Block{Type: openSSHKey, Bytes: append([]byte(openSSHTag), ssh.Marshal(open)...)}))
}

// bcryptKey is bcrypt_pbkdf of OpenBSD: PBKDF2 with a hash that is made of bcrypt, and with the
// bytes of its blocks interleaved. x/crypto/ssh has it in an internal package.
func bcryptKey(passphrase, salt []byte, rounds, size int) []byte {
	const blockSize = 32
	blocks := (size + blockSize - 1) / blockSize
	key := make([]byte, size)
	pass := sha512.Sum512(passphrase)
	for block := range blocks {
		seed := sha512.Sum512(binary.BigEndian.AppendUint32(bytes.Clone(salt), uint32(block+1)))
		last := bcryptHash(pass[:], seed[:])
		sum := last
		for range rounds - 1 {
			seed = sha512.Sum512(last[:])
			last = bcryptHash(pass[:], seed[:])
			for i := range sum {
				sum[i] ^= last[i]
			}
		}
		for i, b := range sum {
			if at := i*blocks + block; at < size {
				key[at] = b
			}
		}
	}
	return key
}

// bcryptHash encrypts a text of its own 64 times by a cipher that is expensive to set
// up. The words of the result are in the other byte order.
func bcryptHash(pass, salt []byte) (out [32]byte) {
	c, err := blowfish.NewSaltedCipher(pass, salt)
	if err != nil {
		panic(err) // both have the length of a SHA-512
	}
	for range 64 {
		blowfish.ExpandKey(salt, c)
		blowfish.ExpandKey(pass, c)
	}
	copy(out[:], "OxychromaticBlowfishSwatDynamite")
	for at := 0; at < len(out); at += blowfish.BlockSize {
		for range 64 {
			c.Encrypt(out[at:], out[at:])
		}
	}
	for at := 0; at < len(out); at += 4 {
		binary.LittleEndian.PutUint32(out[at:], binary.BigEndian.Uint32(out[at:]))
	}
	return out
}

// pkcs8File is an encrypted key of PKCS #8 (RFC 5958) by PBES2 with PBKDF2 (RFC 8018).
type pkcs8File struct {
	salt       []byte
	iterations int
	prf        func() hash.Hash
	keySize    int
	cipher     func(key []byte) (cipher.Block, error)
	iv         []byte
	encrypted  []byte
}

// The identifiers of RFC 8018, and of NIST for AES.
var (
	oidPBES2  = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 13}
	oidPBKDF2 = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 12}

	pkcs8PRFs = map[string]func() hash.Hash{
		"":                    sha1.New, // the default
		"1.2.840.113549.2.7":  sha1.New,
		"1.2.840.113549.2.8":  sha256.New224,
		"1.2.840.113549.2.9":  sha256.New,
		"1.2.840.113549.2.10": sha512.New384,
		"1.2.840.113549.2.11": sha512.New,
	}
	pkcs8Ciphers = map[string]struct {
		keySize int
		open    func(key []byte) (cipher.Block, error)
	}{
		"2.16.840.1.101.3.4.1.2":  {16, aes.NewCipher},
		"2.16.840.1.101.3.4.1.22": {24, aes.NewCipher},
		"2.16.840.1.101.3.4.1.42": {32, aes.NewCipher},
		"1.2.840.113549.3.7":      {24, des.NewTripleDESCipher},
	}
)

func parsePKCS8(der []byte) (*pkcs8File, error) {
	var outer struct {
		Scheme    pkix.AlgorithmIdentifier
		Encrypted []byte
	}
	var scheme struct{ KDF, Cipher pkix.AlgorithmIdentifier }
	var kdf struct {
		Salt       []byte
		Iterations int
		KeySize    int                      `asn1:"optional"`
		PRF        pkix.AlgorithmIdentifier `asn1:"optional"`
	}
	f := new(pkcs8File)
	if _, err := asn1.Unmarshal(der, &outer); err != nil {
		return nil, err
	}
	if !outer.Scheme.Algorithm.Equal(oidPBES2) {
		return nil, unknownCipher("the scheme " + outer.Scheme.Algorithm.String())
	}
	if _, err := asn1.Unmarshal(outer.Scheme.Parameters.FullBytes, &scheme); err != nil {
		return nil, err
	}
	if !scheme.KDF.Algorithm.Equal(oidPBKDF2) {
		return nil, unknownCipher("a key made by " + scheme.KDF.Algorithm.String())
	}
	if _, err := asn1.Unmarshal(scheme.KDF.Parameters.FullBytes, &kdf); err != nil {
		return nil, err
	}
	if kdf.Iterations < 1 || kdf.Iterations > maxIterations {
		return nil, fmt.Errorf("its passphrase takes %d iterations, and at most %d are done", kdf.Iterations, maxIterations)
	}
	if _, err := asn1.Unmarshal(scheme.Cipher.Parameters.FullBytes, &f.iv); err != nil {
		return nil, err
	}
	c, known := pkcs8Ciphers[scheme.Cipher.Algorithm.String()]
	if !known {
		return nil, unknownCipher("the cipher " + scheme.Cipher.Algorithm.String())
	}
	if f.prf, known = pkcs8PRFs[kdf.PRF.Algorithm.String()]; !known {
		return nil, unknownCipher("a key made by the function " + kdf.PRF.Algorithm.String())
	}
	f.salt, f.iterations, f.keySize, f.cipher, f.encrypted = kdf.Salt, kdf.Iterations, c.keySize, c.open, outer.Encrypted
	return f, nil
}

func unlockPKCS8(der, passphrase []byte) (any, error) {
	f, err := parsePKCS8(der)
	if err != nil {
		return nil, err
	}
	derived, err := pbkdf2.Key(f.prf, string(passphrase), f.salt, f.iterations, f.keySize)
	if err != nil {
		return nil, err
	}
	block, err := f.cipher(derived)
	if err != nil {
		return nil, err
	}
	plain, err := decryptCBC(block, f.iv, bytes.Clone(f.encrypted))
	if err != nil {
		return nil, err
	}
	// The padding has its own length in each byte (RFC 8018, 6.1.1). With a wrong passphrase
	// all of the text is noise.
	n := int(plain[len(plain)-1])
	if n < 1 || n > block.BlockSize() || !bytes.Equal(plain[len(plain)-n:], bytes.Repeat([]byte{byte(n)}, n)) {
		return nil, x509.IncorrectPasswordError
	}
	key, err := x509.ParsePKCS8PrivateKey(plain[:len(plain)-n])
	if _, noise := errors.AsType[asn1.StructuralError](err); noise {
		return nil, x509.IncorrectPasswordError
	}
	return key, err
}
