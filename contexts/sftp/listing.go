package sftp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"
)

// namesAtOnce is how many names one answer has, at most. The longest names fit into a
// packet.
const namesAtOnce = 100

func (s *server) opendir(q *request) error {
	if err := s.handles.full(); err != nil {
		return err
	}
	name := s.local(q.path)
	f, err := openDir(name)
	if err != nil {
		return err
	}
	s.answerHandle(q, &opened{file: f, path: name, dir: true})
	return nil
}

// readdir answers with the next names. Files that have vanished meanwhile are left out.
func (s *server) readdir(q *request) error {
	o := s.handles.open[q.handle]
	if o == nil || !o.dir {
		return statusFailure
	}
	s.begin(answerName, q.id)
	head, count := len(s.out), uint32(0)
	s.uint32(0)
	for count == 0 {
		names, err := o.next()
		if err != nil {
			return err
		}
		for _, name := range names {
			if a, err := attributesOfLink(o.path + string(os.PathSeparator) + name); err == nil {
				s.string(name)
				s.string(s.longName(name, &a))
				s.attrs(a)
				count++
			}
		}
	}
	binary.BigEndian.PutUint32(s.out[head:], count)
	return nil
}

// next returns the next names in a directory, of which the first are "." and "..". The
// error is io.EOF behind the last one, and if the directory has been removed.
func (o *opened) next() ([]string, error) {
	names, err := o.file.Readdirnames(namesAtOnce - 2)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, io.EOF
	}
	if !o.listed && (err == nil || err == io.EOF) {
		names, err = append([]string{".", ".."}, names...), nil
	}
	o.listed = true
	return names, err
}

// longName returns a line as of "ls -l". Clients show it, and some parse it.
func (s *server) longName(name string, a *attributes) string {
	t := time.Unix(a.modified, 0)
	date := t.Format("Jan _2 15:04")
	if now := time.Now(); t.After(now) || t.Before(now.Add(-365*24*time.Hour/2)) {
		date = t.Format("Jan _2  2006")
	}
	return fmt.Sprintf("%s  %3d %-8s %-8s %8d %s %s",
		modeText(a.mode), a.links, s.accounts.user(a.uid), s.accounts.group(a.gid), a.size, date, name)
}

// modeText returns a mode as ls writes it.
func modeText(mode uint32) string {
	text := []byte("?rwxrwxrwx")
	switch mode & modeType {
	case modeRegular:
		text[0] = '-'
	case modeDir:
		text[0] = 'd'
	case modeLink:
		text[0] = 'l'
	case modeChar:
		text[0] = 'c'
	case modeBlock:
		text[0] = 'b'
	case modeFIFO:
		text[0] = 'p'
	case modeSocket:
		text[0] = 's'
	}
	for i := range 9 {
		if mode&(0o400>>i) == 0 {
			text[1+i] = '-'
		}
	}
	for _, special := range []struct {
		bit    uint32
		at     int
		letter byte
	}{{modeSetuid, 3, 's'}, {modeSetgid, 6, 's'}, {modeSticky, 9, 't'}} {
		switch {
		case mode&special.bit == 0:
		case text[special.at] == 'x':
			text[special.at] = special.letter
		default:
			text[special.at] = special.letter - 'a' + 'A'
		}
	}
	return string(text)
}
