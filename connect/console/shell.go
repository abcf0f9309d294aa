package console

import "strings"

// What is typed into the far shell, in two steps. The first line goes through
// whatever shell is there, within single quotes as the first stage does, and is short.
// It makes the terminal a pipe and has sh read a second line, which passes
// through no line editor, is echoed by nobody, and has no limit of length.
//
// In the echo of all of this the words that are waited for stand in two
// pieces.

// idleTenths is after how many tenths of a second of silence the far side gives up
// that waits for a plan or an image: VTIME of termios(3), with VMIN 0. A child
// reads without waiting and is not concerned.
const idleTenths = "100"

// What the far shell prints behind the word.
const (
	saysShell = ".shell" // a shell is there
	saysReady = ".ready" // the second line may come
	saysNoTTY = ".nostty"
)

// split is a word for a command line in which it can't be found.
func split(word, says string) string {
	return word[:len(word)/2] + `""` + word[len(word)/2:] + says
}

// probeLine finds out whether there is a shell. The space keeps it out of the
// history of most.
func probeLine(word string) string { return " echo " + split(word, saysShell) + "\n" }

// startLine is the first line. A shell that is ours is replaced, and does not
// write its history; shells that have no such command say so and go on. The
// hang-up of the line must not keep the rest of the second line from being executed.
func startLine(word string, own bool) string {
	line := `/bin/sh -c 's=$(stty -g)&&stty raw -echo min 0 time ` + idleTenths + `||{ echo ` + split(word, saysNoTTY) +
		`;exit;};trap : 1 2 15;echo ` + split(word, saysReady) + `;read -r x;eval "$x"'` + "\n"
	if own {
		return " unset HISTFILE;exec " + line
	}
	return " " + line
}

// stageLine is the second line: it lowers the level of kernel messages, runs the
// first stage, and puts everything back. The settings of the terminal are not
// for the first stage to change, and a line with nothing but the word ends its wait for
// a plan. What is said on standard error
// is held back, since it would be taken for a part of the link; it comes
// behind the end.
//
// What is still on its way to the child when that has ended is read away, until
// the line has been silent for three tenths of a second.
func stageLine(script string, end []byte, quiet bool) string {
	word := string(end[2:])
	mark := `\207\033` + word // as a format of printf(1) spells it
	var b strings.Builder
	b.WriteString(`k=;p=/proc/sys/kernel/printk;`)
	if quiet {
		b.WriteString(`[ -w $p ]&&read -r k z <$p&&echo 1 2>/dev/null >$p;`)
	}
	b.WriteString(`{ w=$( (stty(){ :;};read(){ command read "$@"&&case $p in ` + word + `)exit;esac;};` + script +
		`) 2>&1 >&4 4>&-);x=$?;} 4>&1;`)
	b.WriteString(`exec 2>/dev/null;[ "$k" ]&&echo $k >$p;`)
	b.WriteString(`stty min 0 time 3;while read -r x2;do :;done;stty "$s";`)
	b.WriteString(`printf "` + mark + `%s %.2000s` + mark + `" "$x" "$w"` + "\n")
	return b.String()
}
