package call

import "sync"

// A Queue runs functions one after the other. It has no goroutine while it is empty. The
// zero value is empty.
type Queue struct {
	mu      sync.Mutex
	running bool
	waiting []func()
}

// Enqueue has f run after all functions that were given before it. It does not wait.
func (q *Queue) Enqueue(f func()) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.waiting = append(q.waiting, f)
	if !q.running {
		q.running = true
		go q.loop()
	}
}

// loop runs until the queue is empty. The calls in the queue are counted by Calls, which
// waits for them.
func (q *Queue) loop() {
	empty := false
	defer func() {
		if !empty {
			go q.loop() // a function has ended this goroutine
		}
	}()
	for {
		q.mu.Lock()
		if len(q.waiting) == 0 {
			q.running = false
			q.waiting = nil
			q.mu.Unlock()
			empty = true
			return
		}
		f := q.waiting[0]
		q.waiting[0] = nil
		q.waiting = q.waiting[1:]
		q.mu.Unlock()
		f()
	}
}
