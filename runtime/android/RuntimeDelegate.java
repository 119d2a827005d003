package larqreactnet;

import org.tensorflow.lite.Delegate;

/** Runs the binary operators of a model. Each interpreter needs one of its own. */
public final class RuntimeDelegate implements Delegate {
  static {
    System.loadLibrary("larq_reactnet_runtime");
  }

  private long handle;

  /** @param numThreads threads of the binary operators, from 1 to 256 */
  public RuntimeDelegate(int numThreads) {
    handle = create(numThreads);
    if (handle == 0) {
      throw new IllegalArgumentException("numThreads must be from 1 to 256, got " + numThreads + ".");
    }
  }

  @Override
  public long getNativeHandle() {
    return handle;
  }

  /** To be called after the interpreter's own. */
  @Override
  public void close() {
    destroy(handle);
    handle = 0;
  }

  private static native long create(int numThreads);

  private static native void destroy(long handle);
}
