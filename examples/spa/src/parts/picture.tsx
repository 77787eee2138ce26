import type { QuestionFieldsFragment } from '../graph/generated/graphql';
import { useWords } from '../language';

/** The height that the style allows, in pixels. */
const HIGHEST = 384;

/** The picture of a question. Its place is kept while it is fetched, so that nothing moves under a finger. */
export function Picture({ question }: { question: QuestionFieldsFragment }) {
  const { t } = useWords();
  const { picture, image, number } = question;
  if (picture) {
    const scale = Math.min(1, HIGHEST / picture.height);
    const [width, height] = [picture.width, picture.height].map(size => Math.round(size * scale));
    return <img className="picture" src={picture.url} alt={picture.altText} width={width} height={height} />;
  }
  return image && <img className="picture" src={image} alt={t('exam.picture', { n: number })} />;
}
