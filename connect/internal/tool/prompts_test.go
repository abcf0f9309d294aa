package tool

import (
	"strings"
	"testing"
	"unicode"
)

func show(s string) *PromptLine {
	l := new(PromptLine)
	l.Feed([]byte(s))
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
		got := show(in).Text()
		if want == "" && len(in) > MaxPrompt {
			if !strings.HasSuffix(got, " Code:") || len(got) > MaxPrompt {
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
		if !PasswordPrompt(prompt) {
			t.Errorf("%q is not recognised", prompt)
		}
	}
	for _, other := range []string{
		"", ":", "Verification code: ", "login: ", "Last password change", "your password: is yours", "PIN: ", "password", "$ ",
	} {
		if PasswordPrompt(other) {
			t.Errorf("%q is taken for a password prompt", other)
		}
	}
}

// A password that is not the account's is not typed, though the word is there.
func TestOtherPasswords(t *testing.T) {
	for line, want := range map[string]Question{
		"One-time password (OATH) for `alice': ": {},
		"OTP password: ":                         {},
		"Enter your token password: ":            {},
		"New password: ":                         {Asks: AsksPassword, Other: true},
		"Retype new password: ":                  {Asks: AsksPassword, Other: true},
		"Neues Passwort: ":                       {Asks: AsksPassword, Other: true},
		"Password for chopin@renewed.org: ":      {Asks: AsksPassword},
		"hotpot's password: ":                    {Asks: AsksPassword},
		"LDAP Password: ":                        {Asks: AsksPassword},
		"Password for alice@EXAMPLE.ORG: ":       {Asks: AsksPassword},
	} {
		if q := AccountPrompt(line); q.Asks != want.Asks || q.Other != want.Other {
			t.Errorf("%q is taken for %+v", line, q)
		}
	}
}

// Lines for a person to read are told once, whole, and without what was typed.
func TestLinesThatAreTold(t *testing.T) {
	for in, want := range map[string]string{
		"one\ntwo\r\nthr":              "one|two",
		"10%\r20%\r30%\r\n":            "30%",
		"lost\rfound\n":                "found",
		"\x1b[1mbold\x1b[0m\n\n***\n":  "bold",
		"Code: \n":                     "Code:",
		"Pa":                           "",
		"**\b \b\b \b\nPush sent.\r\n": "Push sent.",
	} {
		l := show(in)
		if got := strings.Join(l.drain(), "|"); got != want {
			t.Errorf("%q tells %q, not %q", in, got, want)
		}
		if again := l.drain(); again != nil {
			t.Errorf("%q tells %q twice", in, again)
		}
	}
	l := show("Choose (1-2): ")
	l.Answered()
	l.echo = "1"
	l.Feed([]byte("1\nPushed to your phone\n1\n"))
	if got := strings.Join(l.drain(), "|"); got != "Pushed to your phone|1" || strings.HasPrefix(l.Context(), "1") {
		t.Errorf("with an echo it tells %q", got)
	}
}

// Whatever a tool prints: memory is bounded, what a person is shown is clean,
// a token is found exactly where it is, and bytes in pieces are the same as
// bytes at once.
func FuzzPrompts(f *testing.F) {
	for _, seed := range []string{"Password: ", "\x1b[0mpassword:", "**\b \b", "(a@b) x: ", "[TOK] y: ", "Enter passphrase for key 'x': ", "\xff\r\n:", "@'s password: "} {
		f.Add([]byte(seed))
	}
	token := TokenPrompt("TOK")
	f.Fuzz(func(t *testing.T, b []byte) {
		whole, pieces := show(string(b)), new(PromptLine)
		for i := range b {
			pieces.Feed(b[i : i+1])
		}
		line := whole.Text()
		if line != pieces.Text() || whole.Context() != pieces.Context() {
			t.Errorf("%q: %q in pieces", line, pieces.Text())
		}
		if len(whole.line) > MaxPrompt || len(whole.above) > MaxPrompt {
			t.Errorf("%d and %d bytes are kept", len(whole.line), len(whole.above))
		}
		for _, r := range line {
			if !unicode.IsPrint(r) {
				t.Errorf("%q holds %q", line, r)
			}
		}
		for _, recognise := range []func(string) Question{AnyPrompt, WordedPrompt, token} {
			if q := recognise(line); q.Asks != AsksNothing && q.Text == "" {
				t.Errorf("%q asks %+v", line, q)
			}
		}
		if q := token(line); q.Asks != AsksNothing && !strings.Contains(string(b), "TOK") && !strings.Contains(line, "TOK") {
			t.Errorf("%q has no token", b)
		}
	})
}

func TestTokens(t *testing.T) {
	if q := TokenPrompt("PW-77:")("PW-77: "); q.Asks != AsksPassword || q.Text != "password:" {
		t.Errorf("the prompt with the token is taken for %+v, want a password with the text password:", q)
	}
}
