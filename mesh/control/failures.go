package main

import (
	"fmt"
	"os"
	"runtime"
	"sync"
)

// failures is the test handle that Istio's test server requires: a test that never ends.
type failures struct {
	failed chan error
	mutex  sync.Mutex
	after  []func()
}

func newFailures() *failures { return &failures{failed: make(chan error, 1)} }

func (f *failures) fail(text string) {
	select {
	case f.failed <- fmt.Errorf("%s", text):
	default:
	}
	// Callers of Fatal expect not to return.
	runtime.Goexit()
}

func (f *failures) cleanUp() {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	for i := len(f.after) - 1; i >= 0; i-- {
		f.after[i]()
	}
}

func (f *failures) Cleanup(after func()) {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	f.after = append(f.after, after)
}

func (f *failures) Fail()                             { f.fail("it failed") }
func (f *failures) FailNow()                          { f.fail("it failed") }
func (f *failures) Fatal(what ...any)                 { f.fail(fmt.Sprint(what...)) }
func (f *failures) Fatalf(format string, what ...any) { f.fail(fmt.Sprintf(format, what...)) }
func (f *failures) Log(what ...any)                   { fmt.Fprintln(os.Stderr, what...) }
func (f *failures) Logf(format string, what ...any)   { fmt.Fprintf(os.Stderr, format+"\n", what...) }
func (f *failures) TempDir() string                   { return os.TempDir() }
func (f *failures) Helper()                           {}
func (f *failures) Skip(...any)                       {}
