package connect

import (
	"strings"
	"testing"
	"unicode"
)

func show(s string) *promptLine {
	l := new(promptLine)
	l.feed([]byte(s))
	return l
}

func TestWhatStandsOnTheLastLine(t *testing.T) {
	for in, want := range map[string]string{
		"Password: ":                         "Password: ",
		"password:\n":                        "",
		"password:\r":                        "",
		"a\r\nb\nPassword: ":                 "Password: ",
		"\r\n\r\nPIN> ":                      "PIN> ",
		"\x1b[1;31mPassword:\x1b[0m ":        "Password: ",
		"\x1b]0;title\x07Password: ":         "0;titlePassword: ",
		"Password: ***":                      "Password: ***",
		"*****":                              "",
		"***\b \b\b \b\b \b":                 "",
		"   ":                                "",
		"\x00P\x00:":                         "P:",
		"\xff\xfePassword:":                  "��Password:",
		strings.Repeat("x", 9000) + " Code:": "",
	} {
		got := show(in).text()
		if want == "" && len(in) > maxPrompt {
			if !strings.HasSuffix(got, " Code:") || len(got) > maxPrompt {
				t.Errorf("a long line: %d bytes", len(got))
			}
			continue
		}
		if got != want {
			t.Errorf("%q: %q, not %q", in, got, want)
		}
	}
}

// The wording of Linux-PAM, sudo, su and others, as they print it.
func TestPasswordPromptsInManyLanguages(t *testing.T) {
	for _, prompt := range []string{
		"Password: ", "Password:", "alice's password: ", "[sudo] password for alice: ", "(current) UNIX password: ", "Passwd: ",
		"Passwort: ", "[sudo] Passwort für alice: ", "Mot de passe : ", "Mot de passe\u00a0: ", "[sudo] Mot de passe de alice : ", "Contraseña: ",
		"Senha: ", "Palavra-passe: ", "Parola: ", "Parolă: ", "Adgangskode: ", "Wachtwoord: ", "Lösenord: ", "Passord: ", "Salasana: ",
		"Jelszó: ", "[sudo] alice jelszava: ", "Heslo: ", "Hasło: ", "Parool: ", "Pasahitza: ", "Pasvorto: ", "Пароль: ", "Парола: ", "Лозинка: ", "Συνθηματικό: ",
		"密码：", "密碼： ", "パスワード: ", "[sudo] alice のパスワード:", "암호: ", "[sudo] alice 암호: ", "Mật khẩu : ", "Sandi:", "Şifrə: ", "ססמה: ", "كلمة السر: ",
		"पासवर्ड: ", "পাসওয়ার্ড: ", "ពាក្យសម្ងាត់ ៖ ", "პაროლი: ", "Iphasiwedi: ", "Focal faire: ", "Contrasenya: ", "Lozinka: ", "गुप्तशब्द: ",
	} {
		if !passwordPrompt(prompt) {
			t.Errorf("%q is not recognised", prompt)
		}
	}
	for _, other := range []string{
		"", ":", "Verification code: ", "login: ", "Last password change", "your password: is yours", "PIN: ", "password", "$ ",
	} {
		if passwordPrompt(other) {
			t.Errorf("%q is taken for a password prompt", other)
		}
	}
}

func TestTokens(t *testing.T) {
	recognise := sudoPrompt("mitosis-TOK")
	for line, want := range map[string]string{
		"[mitosis-TOK] password for alice: ":                    "[sudo] password for alice:",
		"Rest of a line [mitosis-TOK] password for alice: ":     "[sudo] password for alice:",
		"[sudo: [mitosis-TOK] password for alice: ] Password: ": "[sudo] password for alice: ] Password:",
		"[sudo: authenticate] Password: ":                       "[sudo: authenticate] Password: ",
		"[mitosis-TOK] password for ali":                        "",
		"[mitosis-TO":                                           "",
		"[sudo] password for alice: ":                           "",
		"Password: ":                                            "",
		"[sudo: authenticate] ":                                 "",
		"This is [sudo: a banner] about the password: ":         "",
	} {
		if q := recognise(line); (q.asks == asksPassword) != (want != "") || q.text != want {
			t.Errorf("%q: %+v", line, q)
		}
	}
	if q := tokenPrompt("PW-77:")("PW-77: "); q.asks != asksPassword || q.text != "password:" {
		t.Errorf("%+v", q)
	}
}

// Whatever a tool prints: memory is bounded, what a person is shown is clean,
// a token is found exactly where it is, and bytes in pieces are the same as
// bytes at once.
func FuzzPrompts(f *testing.F) {
	for _, seed := range []string{"Password: ", "\x1b[0mpassword:", "**\b \b", "(a@b) x: ", "[TOK] y: ", "Enter passphrase for key 'x': ", "\xff\r\n:", "@'s password: "} {
		f.Add([]byte(seed))
	}
	token := tokenPrompt("TOK")
	f.Fuzz(func(t *testing.T, b []byte) {
		whole, pieces := show(string(b)), new(promptLine)
		for i := range b {
			pieces.feed(b[i : i+1])
		}
		line := whole.text()
		if line != pieces.text() || whole.context() != pieces.context() {
			t.Errorf("%q: %q in pieces", line, pieces.text())
		}
		if len(whole.line) > maxPrompt || len(whole.above) > maxPrompt {
			t.Errorf("%d and %d bytes are kept", len(whole.line), len(whole.above))
		}
		for _, r := range line {
			if !unicode.IsPrint(r) {
				t.Errorf("%q holds %q", line, r)
			}
		}
		for _, recognise := range []func(string) question{anyPrompt, sshPrompt, token, sudoPrompt("TOK")} {
			if q := recognise(line); q.asks != asksNothing && q.text == "" {
				t.Errorf("%q asks %+v", line, q)
			}
		}
		if q := token(line); q.asks != asksNothing && !strings.Contains(string(b), "TOK") && !strings.Contains(line, "TOK") {
			t.Errorf("%q has no token", b)
		}
		if q := sshPrompt(line); q.asks == asksPassword {
			sshAccountMatches(q.key, nil)
		}
	})
}
