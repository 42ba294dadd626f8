/** One door to the server: adds the key, and turns every failure into an `ApiError` that can be shown. */

/** The header with the correlation id of a request. */
export const REQUEST_ID = "X-Request-Id";

export class ApiError extends Error {
  readonly status: number;
  readonly correlationId: string | null;

  /** `status` is the HTTP status, or 0 when no answer came. */
  constructor(message: string, status: number, correlationId: string | null = null) {
    super(message);
    this.name = "ApiError";
    this.status = status;
    this.correlationId = correlationId;
  }
}

export interface KeyStore {
  get(): string | null;
  set(key: string | null): void;
}

/** Keeps the key for this browser tab only. */
export function sessionKeys(storage: Storage): KeyStore {
  const name = "mmedagent.key";
  return {
    get: () => storage.getItem(name),
    set: (key) => (key === null ? storage.removeItem(name) : storage.setItem(name, key)),
  };
}

export type Request = (path: string, init?: RequestInit) => Promise<Response>;

export function createRequest(keys: KeyStore): Request {
  return async (path, init = {}) => {
    const headers = new Headers(init.headers);
    const key = keys.get();
    if (key !== null) headers.set("Authorization", `Bearer ${key}`);
    const response = await fetch(path, { ...init, headers }).catch((cause: unknown) => {
      if (init.signal?.aborted) throw cause;
      throw new ApiError("The server cannot be reached. Check that it is running, then try again.", 0);
    });
    if (!response.ok) throw await readProblem(response);
    return response;
  };
}

/** Problem details (RFC 9457); anything else becomes a sentence with the status. */
async function readProblem(response: Response): Promise<ApiError> {
  const body: unknown = await response.json().catch(() => null);
  const problem = typeof body === "object" && body !== null ? (body as Record<string, unknown>) : {};
  const detail = problem["detail"] ?? problem["title"];
  const id = problem["correlation_id"] ?? response.headers.get(REQUEST_ID);
  return new ApiError(
    typeof detail === "string" ? detail : `The server answered with status ${response.status}.`,
    response.status,
    typeof id === "string" ? id : null,
  );
}
