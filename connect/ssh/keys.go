package ssh

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/connect/internal/tool"
)

const (
	// maxKeyFile bounds a key file; the largest RSA keys are some 12 KiB.
	maxKeyFile = 1 << 20
	// maxPrompts is NumberOfPasswordPrompts of ssh_config(5).
	maxPrompts = 3
)

// An identity is one key to offer.
type identity struct {
	name   string        // for the list of what was tried
	public ssh.PublicKey // nil if it is not known without the passphrase
	// signer is called when the key is to be offered. If public is nil, it asks for the
	// passphrase. signer is nil for a file that only has the public half of an agent key.
	signer   func() (ssh.Signer, error)
	explicit bool  // named in the method or in the configuration
	lacks    error // why there is no signer; nil if only the public half is known
}

func (i *identity) is(key ssh.PublicKey) bool {
	return i.public != nil && bytes.Equal(i.public.Marshal(), key.Marshal())
}

// A keyring loads the keys of one connection.
type keyring struct {
	ctx        context.Context
	env        *connect.OpenRequest
	label      string
	passphrase connect.Secret

	// trouble is why the last key could not be opened. It becomes the reason if nothing
	// else is accepted. troubles counts such keys.
	trouble  error
	troubles int
}

// fromFile loads the key of an IdentityFile. The file may also hold a public
// key, or be missing with its ".pub" in place, which names a key of the agent.
func (k *keyring) fromFile(file identityFile) (identity, error) {
	id := identity{name: file.path, explicit: file.explicit}
	text, err := readKeyFile(file.path, true)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			if id.public = readPublicKey(file.path + ".pub"); id.public != nil {
				return id, nil
			}
		}
		return id, err
	}
	if public, _, _, _, err := ssh.ParseAuthorizedKey(text); err == nil {
		id.public = public
		return id, nil
	}
	err = k.load(&id, text, func() ssh.PublicKey { return readPublicKey(file.path + ".pub") })
	if errors.Is(err, errNoPrivateHalf) {
		id.lacks, err = err, nil // the agent may have it
	}
	return id, err
}

// fromPEM loads a key that was given in the program.
func (k *keyring) fromPEM(name string, text connect.Secret) (identity, error) {
	id := identity{name: name, explicit: true}
	err := k.load(&id, []byte(tool.Reveal(text)), func() ssh.PublicKey { return nil })
	return id, err
}

// load parses a private key. An encrypted key is only opened when the server has accepted its
// public half, so that nobody is asked for a passphrase in vain.
func (k *keyring) load(id *identity, text []byte, beside func() ssh.PublicKey) error {
	public, err := lookAtKey(text)
	if err != nil {
		id.public = public
		return err
	}
	signer, err := ssh.ParsePrivateKey(text)
	if err == nil {
		id.public = signer.PublicKey()
		id.signer = func() (ssh.Signer, error) { return signer, nil }
		return nil
	}
	if block, _ := pem.Decode(text); block == nil || block.Type != pkcs8Key {
		if _, isLocked := errors.AsType[*ssh.PassphraseMissingError](err); !isLocked {
			return err
		}
	}
	name := id.name
	open := func() (ssh.Signer, error) { return k.unlock(name, text) }
	if id.public = public; id.public == nil {
		id.public = beside()
	}
	if id.public == nil {
		id.signer = open
		return nil
	}
	lazy := &lockedSigner{public: id.public, open: open}
	id.signer = func() (ssh.Signer, error) { return lazy, nil }
	return nil
}

// unlock decrypts a key by the passphrase that was given, or asks for it.
func (k *keyring) unlock(name string, text []byte) (ssh.Signer, error) {
	if k.passphrase != "" {
		signer, wrong, err := k.try(name, text, k.passphrase)
		if !wrong {
			return signer, err
		}
		if k.env.Prompt == nil {
			return nil, k.fail(fmt.Errorf("%w: the passphrase does not open %s", connect.ErrPassword, name))
		}
	}
	if k.env.Prompt == nil {
		return nil, k.fail(fmt.Errorf("%w: %s is encrypted and there is no passphrase", connect.ErrPasswordRequired, name))
	}
	for attempt := 1; attempt <= maxPrompts; attempt++ {
		answer, err := tool.AskPerson(k.ctx, k.env.Prompt, connect.Prompt{Kind: connect.PromptPassphrase, Path: k.label,
			Text: "Enter passphrase for key '" + name + "': ", Attempt: attempt})
		if err != nil {
			return nil, k.fail(fmt.Errorf("%s: %w", name, err))
		}
		if signer, wrong, err := k.try(name, text, connect.Secret(answer)); !wrong {
			return signer, err
		}
	}
	return nil, k.fail(fmt.Errorf("%w: no passphrase that was given opens %s", connect.ErrPassword, name))
}

// try reports whether the passphrase is wrong, apart from other errors.
func (k *keyring) try(name string, text []byte, passphrase connect.Secret) (signer ssh.Signer, wrong bool, err error) {
	signer, err = unlockKey(text, []byte(tool.Reveal(passphrase)))
	switch {
	case errors.Is(err, x509.IncorrectPasswordError):
		return nil, true, nil
	case err != nil:
		return nil, false, k.fail(fmt.Errorf("%s: %w", name, err))
	}
	return signer, false, nil
}

func (k *keyring) fail(err error) error {
	k.trouble = err
	k.troubles++
	return err
}

// A lockedSigner is an encrypted key whose public half is known. It is opened by
// the first signature. Not safe for concurrent use; a handshake signs once.
type lockedSigner struct {
	public ssh.PublicKey
	open   func() (ssh.Signer, error)
	signer ssh.Signer
}

func (l *lockedSigner) PublicKey() ssh.PublicKey { return l.public }

func (l *lockedSigner) Sign(rand io.Reader, data []byte) (*ssh.Signature, error) {
	return l.SignWithAlgorithm(rand, data, "")
}

func (l *lockedSigner) SignWithAlgorithm(rand io.Reader, data []byte, algorithm string) (*ssh.Signature, error) {
	if l.signer == nil {
		signer, err := l.open()
		if err != nil {
			return nil, err
		}
		l.signer = signer
	}
	if a, ok := l.signer.(ssh.AlgorithmSigner); ok {
		return a.SignWithAlgorithm(rand, data, algorithm)
	}
	return l.signer.Sign(rand, data)
}

// Algorithms makes it an ssh.MultiAlgorithmSigner: SHA-2 for RSA keys (RFC 8332).
func (l *lockedSigner) Algorithms() []string {
	if l.public.Type() == ssh.KeyAlgoRSA {
		return []string{ssh.KeyAlgoRSASHA256, ssh.KeyAlgoRSASHA512}
	}
	return []string{l.public.Type()}
}

// readKeyFile refuses a private key that others can read, as ssh does.
func readKeyFile(path string, private bool) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("not a regular file")
	}
	text, err := io.ReadAll(io.LimitReader(f, maxKeyFile))
	if err != nil {
		return nil, err
	}
	if private && exposed(info) && bytes.Contains(text, []byte("PRIVATE KEY")) {
		return nil, fmt.Errorf("it has mode %#o, others can read it: refused", info.Mode().Perm())
	}
	return text, nil
}

func readPublicKey(path string) ssh.PublicKey {
	text, err := readKeyFile(path, false)
	if err != nil {
		return nil
	}
	public, _, _, _, err := ssh.ParseAuthorizedKey(text)
	if err != nil {
		return nil
	}
	return public
}

// loadCertificate reads a certificate from a file, or from the line itself.
func loadCertificate(source string) (*ssh.Certificate, error) {
	text := []byte(source)
	if kind, _, isLine := strings.Cut(source, " "); !isLine || !strings.Contains(kind, "-cert-v") {
		var err error
		if text, err = readKeyFile(source, false); err != nil {
			return nil, err
		}
	}
	public, _, _, _, err := ssh.ParseAuthorizedKey(text)
	if err != nil {
		return nil, err
	}
	cert, ok := public.(*ssh.Certificate)
	if !ok {
		return nil, fmt.Errorf("a key of type %s is no certificate", public.Type())
	}
	return cert, nil
}
