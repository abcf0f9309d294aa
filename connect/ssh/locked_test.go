//go:build unix

package ssh

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/connect/internal/connecttest"
	"github.com/mitosis-go/mitosis/connect/internal/sshtest"
)

// keygen makes a key by ssh-keygen, encrypted with the passphrase "tiger", and returns
// its file and its public half.
func keygen(t *testing.T, args ...string) (string, ssh.PublicKey) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "id")
	runIn(t, "ssh-keygen", append([]string{"-q", "-a", "2", "-N", "tiger", "-f", file}, args...)...)
	return file, readPublicKey(file + ".pub")
}

func runIn(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %q: %v: %s", name, args, err, out)
	}
	return string(out)
}

// opensWith makes sure that the right passphrase opens a key, and no other.
func opensWith(t *testing.T, file string, public ssh.PublicKey) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := lookAtKey(text); err != nil {
		t.Errorf("it is refused before it is tried: %v", err)
	}
	signer, err := unlockKey(text, []byte("tiger"))
	if err != nil {
		t.Fatalf("the right passphrase: %v", err)
	}
	if string(signer.PublicKey().Marshal()) != string(public.Marshal()) {
		t.Error("another key came out")
	}
	sig, err := signer.Sign(nil, []byte("data"))
	if err == nil {
		err = public.Verify([]byte("data"), sig)
	}
	if err != nil {
		t.Errorf("it does not sign: %v", err)
	}
	for _, wrong := range []string{"lion", "", "tiger "} {
		if _, err := unlockKey(text, []byte(wrong)); !errors.Is(err, x509.IncorrectPasswordError) {
			t.Errorf("the passphrase %q: %v", wrong, err)
		}
	}
}

func TestEveryCipherOfSSHKeygen(t *testing.T) {
	for cipher := range strings.FieldsSeq(runIn(t, "ssh", "-Q", "cipher")) {
		t.Run(cipher, func(t *testing.T) {
			if _, known := openSSHCiphers[cipher]; !known {
				t.Fatal("it is not in the table")
			}
			for _, kind := range [][]string{{"-t", "ed25519"}, {"-t", "ecdsa", "-b", "521"}} {
				file, public := keygen(t, append(kind, "-Z", cipher)...)
				opensWith(t, file, public)
			}
		})
	}
}

func TestEveryFormatOfSSHKeygen(t *testing.T) {
	for _, format := range []string{"RFC4716", "PEM", "PKCS8"} {
		for _, kind := range [][]string{{"-t", "ecdsa"}, {"-t", "rsa", "-b", "2048"}} {
			file, public := keygen(t, append(kind, "-m", format)...)
			opensWith(t, file, public)
		}
	}
}

// A wrong passphrase of the old PEM decrypts the key to rubbish. Its padding is right for one of
// 256 wrong passphrases.
func TestWrongPassphrasesOfPEM(t *testing.T) {
	file, _ := keygen(t, "-t", "ecdsa", "-m", "PEM")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 4000 {
		if _, err := unlockKey(text, fmt.Append(nil, "wrong ", i)); !errors.Is(err, x509.IncorrectPasswordError) {
			t.Fatalf("wrong passphrase %d: %v", i, err)
		}
	}
}

// What openssl makes of a key in PKCS #8 is opened, or the reason says what to do.
func TestPKCS8OfOpenSSL(t *testing.T) {
	plain := filepath.Join(t.TempDir(), "plain")
	runIn(t, "ssh-keygen", "-q", "-t", "rsa", "-b", "2048", "-m", "PEM", "-N", "", "-f", plain)
	public := readPublicKey(plain + ".pub")
	for _, c := range []struct {
		args  []string
		lacks string // in the reason; "": it is opened
	}{
		{args: []string{"-v2", "aes-128-cbc"}},
		{args: []string{"-v2", "aes-192-cbc", "-v2prf", "hmacWithSHA384"}},
		{args: []string{"-v2", "aes-256-cbc", "-v2prf", "hmacWithSHA512", "-iter", "10"}},
		{args: []string{"-v2", "des3", "-v2prf", "hmacWithSHA1"}},
		{args: []string{"-v2", "aes-256-cbc", "-v2prf", "hmacWithSHA224"}},
		{args: []string{"-v2", "camellia-128-cbc"}, lacks: "the cipher 1.2.392"},
		{args: []string{"-scrypt"}, lacks: "1.3.6.1.4.1.11591.4.11"},
		{args: []string{"-v1", "PBE-SHA1-3DES"}, lacks: "the scheme 1.2.840.113549.1.12.1.3"},
		{args: []string{"-iter", "20000000"}, lacks: "20000000 iterations"},
	} {
		t.Run(strings.Join(c.args, " "), func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "id")
			runIn(t, "openssl", append([]string{"pkcs8", "-topk8", "-in", plain, "-out", file, "-passout", "pass:tiger"}, c.args...)...)
			if c.lacks == "" {
				opensWith(t, file, public)
				return
			}
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := lookAtKey(text); err == nil || !strings.Contains(err.Error(), c.lacks) {
				t.Errorf("the reason is %v, without %q", err, c.lacks)
			}
		})
	}
}

// Each key is in the error, with what became of it, and nothing keeps the others from
// being tried.
func TestEachKeyIsAccountedFor(t *testing.T) {
	connecttest.CheckLeaks(t)
	signer, _ := sshtest.NewKey(t)
	server := sshtest.Start(t, func(s *sshtest.Server) {
		sshtest.OnlyKey(signer.PublicKey())(s)
		sshtest.OnlyPassword("tiger")(s)
	})
	dir := t.TempDir()
	_, stranger := sshtest.NewKey(t)
	pkcs8, _ := keygen(t, "-t", "ecdsa", "-m", "PKCS8")
	sealed, sealedPublic := keygen(t, "-t", "ed25519")
	accepting := sshtest.Start(t, sshtest.OnlyKey(sealedPublic))
	write := func(name, text string, mode os.FileMode) string {
		path := connecttest.WriteFile(t, filepath.Join(dir, name), text, mode)
		os.Chmod(path, mode)
		return path
	}
	cases := map[string]string{
		write("refused", sshtest.PEMKey(t, stranger, ""), 0o600): " (refused)",
		pkcs8: " (refused)",
		write("open", sshtest.PEMKey(t, stranger, ""), 0o644): "others can read it",
		write("garbage", "no key at all", 0o600):              "no key found",
		write("fido", fidoKey(t), 0o600):                      "a FIDO key, which needs an agent that has it, or a hop by openssh:HOST",
		write("putty", "PuTTY-User-Key-File-3: ", 0o600):      "puttygen",
		write("cipher", otherCipher(t), 0o600):                "encrypted by rot13, which is not known here; `ssh-keygen -p",
		write("public", publicOf(t), 0o600):                   "only its public half",
		filepath.Join(dir, "missing"):                         "no such file",
		t.TempDir():                                           "not a regular file",
	}
	s := methodFor(t, server)
	for file := range cases {
		s.IdentityFiles = append(s.IdentityFiles, file)
	}
	check := func(t *testing.T, err error, class error) {
		t.Helper()
		if !errors.Is(err, class) {
			t.Errorf("not of the class %q: %v", class, err)
		}
		for file, becomes := range cases {
			if _, rest, found := strings.Cut(err.Error(), file); !found || !strings.Contains(strings.SplitN(rest, ", /", 2)[0], becomes) {
				t.Errorf("%s: no %q in %v", file, becomes, err)
			}
		}
	}
	t.Run("nobody can be asked", func(t *testing.T) {
		_, err := dialSSH(t, s, testEnv("true"))
		check(t, err, connect.ErrPermission) // the keys were meant to do
		if !strings.Contains(err.Error(), "the server takes") || !strings.Contains(err.Error(), "nobody could be asked") {
			t.Error(err)
		}
	})
	t.Run("nobody answers", func(t *testing.T) {
		e := testEnv("true")
		e.Prompt = func(context.Context, connect.Prompt) (string, error) { return "", errors.New("nobody is there") }
		_, err := dialSSH(t, s, e)
		check(t, err, connect.ErrPasswordRequired)
		if !strings.Contains(err.Error(), "nobody is there") {
			t.Error(err)
		}
	})
	t.Run("the log has them", func(t *testing.T) {
		var log strings.Builder
		e := testEnv("true")
		e.Log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
		_, err := dialSSH(t, s, e)
		if err == nil || !strings.Contains(log.String(), "a FIDO key") {
			t.Errorf("error %v, log %s; want an error, and a FIDO key in the log", err, log.String())
		}
	})
	t.Run("encrypted, and no passphrase", func(t *testing.T) {
		s := methodFor(t, accepting)
		s.IdentityFiles = []string{sealed}
		_, err := dialSSH(t, s, testEnv("true"))
		if !errors.Is(err, connect.ErrPasswordRequired) || !strings.Contains(err.Error(), sealed+" is encrypted and there is no passphrase") {
			t.Error(err)
		}
	})
}

// fidoKey is a key file of ssh-keygen -t ed25519-sk, whose private half is a handle.
func fidoKey(t *testing.T) string {
	signer, _ := sshtest.NewKey(t)
	var bare struct {
		Kind string
		Key  []byte
	}
	if err := ssh.Unmarshal(signer.PublicKey().Marshal(), &bare); err != nil {
		t.Fatal(err)
	}
	public := ssh.Marshal(struct {
		Kind        string
		Key         []byte
		Application string
	}{"sk-ssh-ed25519@openssh.com", bare.Key, "ssh:"})
	return encodeKey(openSSHFile{Cipher: "none", KDF: "none", Keys: 1, Public: public, Private: make([]byte, 64)})
}

// otherCipher is a key that is encrypted in a way which nobody knows.
func otherCipher(t *testing.T) string {
	signer, _ := sshtest.NewKey(t)
	return encodeKey(openSSHFile{Cipher: "rot13", KDF: "bcrypt", Keys: 1, Public: signer.PublicKey().Marshal(), Private: make([]byte, 64)})
}

func encodeKey(f openSSHFile) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: openSSHKey, Bytes: append([]byte(openSSHTag), ssh.Marshal(f)...)}))
}

func publicOf(t *testing.T) string {
	signer, _ := sshtest.NewKey(t)
	return string(ssh.MarshalAuthorizedKey(signer.PublicKey()))
}
